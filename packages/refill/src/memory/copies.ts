import {
  floorOf,
  judge,
  type Known,
  type Loss,
  type News,
  type Sight,
  type Terms,
  type Verdict,
  type View,
} from '@tidemark/guard'
import type { Position } from '@tidemark/protocol'
import { LRUCache } from 'lru-cache'
import type { Copy } from './copy.ts'

/** A read of a partition, as it is remembered from before it begins. */
export interface Read {
  readonly partition: number
  /** How often something had been forgotten that was being read. */
  readonly turn: number
}

/** A copy, and whether it is fresh by what the feed has told until now. */
export interface Answer {
  readonly copy: Copy
  readonly verdict: Verdict
}

export interface CopiesOptions {
  readonly partitions: number
  readonly maxEntries: number
  readonly maxBytes: number
  /** All copies of a partition went, for what the feed had told of it cannot be built upon any more. */
  readonly onDropped: (partition: number, cause: Loss, copies: number) => void
  readonly onEvicted: (copies: number) => void
}

/** Whether what was read together with the view may be kept; `Feed` says it. */
export type MayKeep = (partition: number, view: View | null) => boolean

/** One partition: what the feed told last, and the keys of the copies that are judged by it. */
interface Lane {
  /** Null while nothing can be built upon: then there are no copies either. */
  known: Known | null
  turn: number
  readonly keys: Set<string>
}

interface Held {
  readonly copy: Copy
  readonly lane: Lane
}

const NO_FLOORS = {}

/**
 * Copies of cells, kept by the four rules of the feed (`feed.ts` in guard, with the proof):
 * 1. A read is remembered before it begins: {@link begin}, by the partition's turn.
 * 2. News are followed before anything else is done: {@link follow}. The turn moves when any key is forgotten, so more
 *    reads are forgotten than need be; a set of the reads of each key would have to be kept free of those that fail.
 * 3. What was read is kept only if it is live, above its floor, of this turn, and the feed allows it: {@link keep}.
 * 4. A copy is judged by the newest news alone: {@link answer}, at once, for what is looked up now and judged after the
 *    next news would be judged by a watermark that covers what has just taken it.
 *
 * Only what a look in Redis returned comes in. A value that was just stored does not: the fill's answer says nothing of
 * the view that it met, and that of the look before the lease may be of a Redis that has since lost its latest writes,
 * tombstones included. The next read's look brings it.
 */
export class Copies {
  readonly #lanes: readonly Lane[]
  readonly #held: LRUCache<string, Held>
  readonly #options: CopiesOptions
  #evicted = 0

  constructor(options: CopiesOptions) {
    this.#options = options
    this.#lanes = Array.from({ length: options.partitions }, () => ({ known: null, turn: 0, keys: new Set() }))
    this.#held = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      sizeCalculation: ({ copy }) => copy.sizeBytes,
      dispose: ({ lane }, key, reason) => {
        lane.keys.delete(key)
        if (reason === 'evict') this.#evicted++
      },
    })
  }

  get size(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#held.calculatedSize
  }

  /** Rule 4. Null when there is no copy. */
  answer(key: string, terms: Terms, now: number): Answer | null {
    const held = this.#held.get(key)
    if (held === undefined) return null
    const { copy, lane } = held
    if (now < copy.endsAt) return { copy, verdict: judge(lane.known, copy, terms, now) }
    this.#held.delete(key)
    return null
  }

  /** Rule 1: called before the command that reads view and cells of the partition is sent. */
  begin(partition: number): Read {
    return { partition, turn: this.#lanes[partition]!.turn }
  }

  /** Rule 3: what was read, with the view that the same command read, and what is to be kept of it. */
  keep({ partition, turn }: Read, key: string, { view, cell }: Sight, copy: Copy, mayKeep: MayKeep): void {
    const lane = this.#lanes[partition]!
    if (lane.turn !== turn || cell?.state !== 'live' || !mayKeep(partition, view)) return
    if (cell.label.low < floorOf(view!, copy.keyspace)) return
    this.#held.set(key, { copy, lane })
    if (this.#held.has(key)) lane.keys.add(key) // one that is larger than all may be is not taken
    if (this.#evicted > 0) this.#options.onEvicted(this.#evicted)
    this.#evicted = 0
  }

  /** Rule 2. */
  follow(news: News): void {
    const lane = this.#lanes[news.partition]!
    if ('dropped' in news) {
      this.#drop(lane, news.partition, news.dropped)
      return
    }
    const { keys, floors, watermark, beat } = news
    if (keys.length > 0 || floors) lane.turn++
    for (const key of keys) this.#held.delete(key)
    if (floors) this.#sink(lane, floors)
    // What is left is above every floor.
    lane.known = { watermark, beat, floors: NO_FLOORS }
  }

  /** For one that nobody can read. */
  forget(key: string): void {
    this.#held.delete(key)
  }

  #drop(lane: Lane, partition: number, cause: Loss): void {
    const copies = lane.keys.size
    const wasHeard = lane.known !== null
    lane.turn++
    lane.known = null
    for (const key of lane.keys) this.#held.delete(key)
    if (wasHeard) this.#options.onDropped(partition, cause, copies)
  }

  #sink(lane: Lane, floors: Readonly<Record<string, Position>>): void {
    for (const key of lane.keys) {
      const { copy } = this.#held.peek(key)!
      if (copy.label.low < floorOf({ floors }, copy.keyspace)) this.#held.delete(key)
    }
  }
}
