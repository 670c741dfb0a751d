import { expect, test } from '@jest/globals'
import { decodePayload, Feed, type Sight } from '@tidemark/guard'
import { join, ORIGIN, type Position } from '@tidemark/protocol'
import fc from 'fast-check'
import { KEYS, KEYSPACE, SimulatedRegion } from '../testing/simulated-region.ts'
import { type Answer, Copies, type Read } from './copies.ts'
import type { Copy } from './copy.ts'

const MAX_STALENESS_MS = 3_000
const LONG_MS = 3_600_000
const PARTITION = 0

interface Reading {
  readonly key: string
  readonly read: Read
  sight: Sight | null
}

/** A process with copies in a region, whose reads take their steps whenever the tape says so. */
class Process {
  readonly region: SimulatedRegion
  readonly copies: Copies
  readonly taken = { kept: 0, hits: 0, sessionHits: 0 }
  readonly #feed: Feed
  readonly #readings: Reading[] = []
  #own: Position = ORIGIN
  #seen: Position = ORIGIN
  readonly #shown = new Map<string, number>()

  static async open(): Promise<Process> {
    const region = new SimulatedRegion()
    const copies = new Copies({
      partitions: 1,
      maxEntries: KEYS.length,
      maxBytes: 1_000_000,
      onDropped: () => undefined,
      onEvicted: () => undefined,
    })
    const { subscriber } = region
    const listener = copies.follow.bind(copies)
    const feed = await Feed.open({ subscriber, prefix: 'tm', partitions: [PARTITION], silenceMs: LONG_MS, listener })
    return new Process(region, copies, feed)
  }

  private constructor(region: SimulatedRegion, copies: Copies, feed: Feed) {
    this.region = region
    this.copies = copies
    this.#feed = feed
  }

  step(choice: number): void {
    const key = KEYS[(choice >> 4) % KEYS.length]!
    const which = choice % 8
    if (which === 0) this.#begin(key)
    else if (which === 1) this.#look(choice >> 4)
    else if (which === 2) this.#finish(choice >> 4)
    else if (which === 3) this.#hit(key)
    else if (which === 4) this.#writeOrRead(key, choice >> 6)
    else this.region.step(choice >> 3)
  }

  close(): Promise<void> {
    return this.#feed[Symbol.asyncDispose]()
  }

  #begin(key: string): void {
    this.#readings.push({ key, read: this.copies.begin(PARTITION), sight: null })
  }

  #look(which: number): void {
    const reading = this.#readings[which % Math.max(1, this.#readings.length)]
    if (reading) reading.sight = this.region.look(reading.key)
  }

  #finish(which: number): void {
    const [reading] = this.#readings.splice(which % Math.max(1, this.#readings.length), 1)
    if (!reading?.sight?.cell) return
    const before = this.copies.size
    const { key, read, sight } = reading
    this.copies.keep(read, key, sight, copyIn(sight, this.region.now), (p, view) => this.#feed.mayKeep(p, view))
    if (this.copies.size > before) this.taken.kept++
  }

  #answer(key: string, demand: { own: Position; seen: Position } | null): Answer | null {
    const contract = { maxStalenessMs: MAX_STALENESS_MS }
    const answer = this.copies.answer(key, { keyspace: KEYSPACE, contract, clockSkewMs: 0, demand }, this.region.now)
    return answer?.verdict.fresh ? answer : null
  }

  #hit(key: string): void {
    const answer = this.#answer(key, null)
    if (!answer?.verdict.fresh) return
    this.taken.hits++
    const shown = this.region.countIn(key, valueIn(answer))
    expect(shown).toBeGreaterThanOrEqual(this.region.countBefore(key, answer.verdict.position))
  }

  /** One session, of which each read is a copy's where one will do, and otherwise a look's. */
  #writeOrRead(key: string, choice: number): void {
    if (choice % 8 === 0) {
      this.region.commit(key)
      this.#own = this.region.here
      this.#shown.set(key, this.region.countBefore(key, this.#own))
      return
    }
    const answer = this.#answer(key, { own: this.#own, seen: this.#seen })
    if (answer === null) return
    this.taken.sessionHits++
    const shown = this.region.countIn(key, valueIn(answer))
    expect(shown).toBeGreaterThanOrEqual(this.#shown.get(key) ?? 0)
    this.#shown.set(key, shown)
    this.#seen = join(this.#seen, answer.copy.label.high)
  }
}

function copyIn({ cell }: Sight, now: number): Copy {
  const { payload, ...head } = cell!
  const value = Number(decodePayload(payload).body.toString())
  return { ...head, keyspace: KEYSPACE, endsAt: now + LONG_MS, sizeBytes: 1, content: { shared: true, value } }
}

function valueIn({ copy: { content } }: Answer): number {
  return content.shared ? (content.value as number) : Number.NaN
}

const tapes = fc.array(fc.nat({ max: 1 << 20 }), { minLength: 100, maxLength: 400, size: 'max' })
const taken = { kept: 0, hits: 0, sessionHits: 0 }

test('I2 I7 whatever befalls region and feed, no copy lacks what it is judged by, and no session goes back', async () => {
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const process = await Process.open()
      try {
        for (const choice of tape) process.step(choice)
      } finally {
        await process.close()
        for (const name of ['kept', 'hits', 'sessionHits'] as const) taken[name] += process.taken[name]
      }
    }),
    { numRuns: 1_500 },
  )
  // A world in which nothing is ever kept shows nothing.
  expect(Math.min(taken.kept, taken.hits, taken.sessionHits)).toBeGreaterThan(300)
})
