import type { Cell } from '../cell.ts'
import type { Feed, News } from '../feed.ts'
import type { Sight } from '../guard.ts'
import { floorOf } from '../view.ts'

/** One read under way; forgotten when news concern it. */
export interface Read {
  readonly key: string
}

/** For tests: one partition's copies in a process, kept by the four rules of the feed. */
export class Copies {
  readonly #partition: number
  readonly #keyspaceOf: (key: string) => string
  readonly #copies = new Map<string, Cell>()
  readonly #reads = new Set<Read>()
  feed: Pick<Feed, 'mayKeep'> | null = null

  constructor(partition: number, keyspaceOf: (key: string) => string) {
    this.#partition = partition
    this.#keyspaceOf = keyspaceOf
  }

  entries(): Iterable<[string, Cell]> {
    return this.#copies.entries()
  }

  get size(): number {
    return this.#copies.size
  }

  /** Rule 2. */
  follow(news: News): void {
    if ('dropped' in news) {
      this.#copies.clear()
      this.#reads.clear()
      return
    }
    for (const key of news.keys) this.#forget(key)
    if (news.floors) this.#sink(news.floors)
  }

  /** Rule 1. */
  begin(key: string): Read {
    const read = { key }
    this.#reads.add(read)
    return read
  }

  /** Rule 3. */
  finish(read: Read, { view, cell }: Sight): void {
    const remembered = this.#reads.delete(read)
    if (!remembered || cell?.state !== 'live' || !this.feed?.mayKeep(this.#partition, view)) return
    if (cell.label.low >= floorOf(view!, this.#keyspaceOf(read.key))) this.#copies.set(read.key, cell)
  }

  #forget(key: string): void {
    this.#copies.delete(key)
    for (const read of this.#reads) if (read.key === key) this.#reads.delete(read)
  }

  #sink(floors: Readonly<Record<string, string>>): void {
    this.#reads.clear()
    for (const [key, { label }] of this.#copies) {
      const isBelow = [floors['*'], floors[this.#keyspaceOf(key)]].some(
        (floor) => floor !== undefined && label.low < floor,
      )
      if (isBelow) this.#copies.delete(key)
    }
  }
}
