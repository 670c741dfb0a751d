import assert from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import { expect } from '@jest/globals'
import { Feed, type News } from '../feed.ts'
import { decodeFeedMessage, type FeedMessage } from '../feed-message.ts'
import type { Batch, Outcome, Repair, Update } from '../guard.ts'
import type { Loss } from '../partition-feed.ts'
import { Copies } from './copies.ts'
import type { FeedTap } from './feed-tap.ts'
import { type Id, KEYS, KEYSPACES, type Operation } from './operation.ts'
import { leaseId, PARTITION, type PartitionContext } from './partition-context.ts'
import { type PartitionState, stateInModel, stateInRedis, TTL_STEP_MS } from './partition-state.ts'
import { PublisherLog, positionOf, versionOf } from './publisher-log.ts'
import { type ModelMessage, type ModelValue, type Point, pointOf, ReferenceModel } from './reference-model.ts'

/** So few that generations rotate all the time. */
const PER_GENERATION = 3
const LIMITS = { perGeneration: PER_GENERATION, generationMs: 100 * TTL_STEP_MS }
/** Longer than the test. */
const SILENCE_MS = 3_600_000
const FOREIGN = 'f'.repeat(16)
/** Where cell.lua keeps the end of a lease. */
const LEASE_END_AT = 80

/**
 * Redis and the reference model side by side: each operation is done to both, and answers and whole states must agree
 * after it. I2 and I6 are asserted of what Redis holds, from what was told it and without asking the model.
 */
export class Twins {
  readonly #ctx: PartitionContext
  readonly #tap: FeedTap
  readonly #feed: Feed
  readonly #copies: Copies
  #lost: Loss | null = null
  readonly #model = new ReferenceModel()
  /** How often each answer was given, over all. */
  readonly #answers: Map<string, number>
  readonly #log = new PublisherLog()
  readonly #leases = new Map<string, string[]>()
  #count = 0
  /** Key → newest version applied since the partition was last set going. */
  readonly #newestApplied = new Map<string, Point>()
  #before: PartitionState = { view: null, tombstones: {}, cells: {} }

  static async open(ctx: PartitionContext, tap: FeedTap, answers: Map<string, number>): Promise<Twins> {
    const copies = new Copies(PARTITION, (key) => KEYSPACES[key]!)
    let twins: Twins | null = null
    const listener = (news: News) => {
      copies.follow(news)
      if ('dropped' in news && twins) twins.#lost = news.dropped
    }
    const { prefix } = ctx
    const feed = await Feed.open({ subscriber: tap, prefix, partitions: [PARTITION], silenceMs: SILENCE_MS, listener })
    copies.feed = feed
    twins = new Twins(ctx, tap, feed, copies, answers)
    return twins
  }

  private constructor(ctx: PartitionContext, tap: FeedTap, feed: Feed, copies: Copies, answers: Map<string, number>) {
    this.#ctx = ctx
    this.#tap = tap
    this.#feed = feed
    this.#copies = copies
    this.#answers = answers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#feed[Symbol.asyncDispose]()
  }

  async perform(operation: Operation): Promise<void> {
    const forgets = await this.#do(operation)
    await this.#listen()
    const [after] = await Promise.all([stateInRedis(this.#ctx.redis, this.#ctx.keys, KEYS), this.#keepCopies()])
    const expected = stateInModel(this.#model)
    // jest's comparison is ten times slower, and is wanted for its message.
    if (!isDeepStrictEqual(after, expected)) expect(after).toEqual(expected)
    this.#expectGuarded(after)
    this.#expectCopiesGuarded()
    if (!forgets) this.#expectMonotonic(after)
    this.#before = after
  }

  /** @returns whether the view may go back: it was lost */
  async #do(operation: Operation): Promise<boolean> {
    switch (operation.kind) {
      case 'apply':
        await this.#apply(operation)
        return false
      case 'replay':
        await this.#replay(operation)
        return false
      case 'lease':
        await this.#lease(operation)
        return false
      case 'fill':
        await this.#fill(operation)
        return false
      case 'require':
        await this.#require(operation)
        return false
      case 'release': {
        const id = this.#idOf(operation.key, operation.id)
        await this.#ctx.guard.release(operation.key, id)
        this.#model.release(operation.key, id)
        return false
      }
      case 'declareGap':
        await this.#declareGap(operation)
        return false
      default:
        return await this.#suffer(operation)
    }
  }

  async #apply(operation: Operation & { kind: 'apply' }): Promise<void> {
    const batch = this.#batchOf(operation)
    const answer = await this.#ctx.guard.apply(batch, LIMITS)
    expect(answer).toEqual(this.#model.apply(batch, PER_GENERATION))
    this.#tally(`apply ${answer.code}`)
    if (answer.code !== 'applied') return
    for (const [i, outcome] of answer.outcomes.entries()) this.#recordApplied(batch, i, `event ${outcome}`)
  }

  #recordApplied(batch: Pick<Batch, 'events'>, index: number, outcome: `${'event' | 'replayed'} ${Outcome}`): void {
    this.#tally(outcome)
    if (outcome.endsWith('old-epoch')) return
    const { key, version } = batch.events[index]!
    const known = this.#newestApplied.get(key) ?? 0n
    this.#newestApplied.set(key, known > pointOf(version) ? known : pointOf(version))
  }

  /** An epoch is announced by the log alone. */
  async #replay(operation: Operation & { kind: 'replay' }): Promise<void> {
    const start =
      operation.epochStart === 'none'
        ? null
        : positionOf(operation.epochStart === 'old' ? this.#log.near({ by: 1, epochs: -1 }) : this.#log.end)
    const repair: Repair = {
      epochStart: start,
      floors: operation.floors.map((f) => ({ keyspace: f.keyspace, position: positionOf(this.#log.near(f.at)) })),
      events: operation.events.map((e) => ({
        key: e.key,
        version: versionOf(this.#log.near(e.at)),
        retainStaleMs: e.retainSteps * TTL_STEP_MS,
      })),
    }
    const answer = await this.#ctx.guard.replay(repair, LIMITS)
    expect(answer).toEqual(this.#model.replay(repair, PER_GENERATION))
    this.#tally(`replay ${answer.code}`)
    if (answer.code !== 'replayed') return
    for (const [i, outcome] of answer.outcomes.entries()) this.#recordApplied(repair, i, `replayed ${outcome}`)
  }

  #batchOf(operation: Operation & { kind: 'apply' }): Batch {
    const here = this.#model.view?.offset ?? 0n
    const from = operation.from === 'here' ? here : operation.from === 'above' ? here + 2n : here - 1n
    const epochStart = this.#log.epochStart(operation.epochStart)
    const floors = operation.floors.map((f) => ({ keyspace: f.keyspace, position: positionOf(this.#log.reach(f.at)) }))
    const events = operation.events.map((e) => ({
      key: e.key,
      version: versionOf(this.#log.reach(e.at)),
      retainStaleMs: e.retainSteps * TTL_STEP_MS,
      ...(e.updates ? { update: this.#updateOf(e.key) } : {}),
    }))
    const watermark = operation.watermark && {
      position: positionOf(this.#log.reach(operation.watermark)),
      beatMs: this.#log.beat,
    }
    return {
      from: from < 0n ? here + 1n : from,
      next: from < 0n ? here + 2n : from + 1n,
      epochStart,
      floors,
      events,
      watermark,
    }
  }

  #updateOf(key: string): Update {
    const payload = Buffer.from(`u${++this.#count}`)
    return { keyspace: KEYSPACES[key]!, payload, ttlMs: ((this.#count % 3) + 1) * TTL_STEP_MS }
  }

  async #lease({ key, sees, again, ttlSteps }: Operation & { kind: 'lease' }): Promise<void> {
    const cell = this.#model.cells.get(key)
    const unusable = sees && cell?.state === 'live' ? cell.value!.low : null
    const id = again ? this.#idOf(key, 'held') : leaseId(++this.#count)
    const ms = ttlSteps * TTL_STEP_MS
    const keyspace = KEYSPACES[key]!
    const answer = await this.#ctx.guard.lease(key, keyspace, id, ms, unusable === null ? null : positionOf(unusable))
    const comparable =
      answer.code === 'granted'
        ? { code: answer.code, required: pointOf(answer.required), granted: pointOf(answer.granted) }
        : { code: answer.code }
    expect(comparable).toEqual(this.#model.lease(key, keyspace, id, ms, unusable))
    this.#tally(`lease ${answer.code}`)
    if (answer.code === 'granted') this.#leases.set(key, [id, ...(this.#leases.get(key) ?? [])].slice(0, 2))
  }

  async #require(operation: Operation & { kind: 'require' }): Promise<void> {
    const keys = operation.keys.map((key) => ({ key, keyspace: KEYSPACES[key]! }))
    const answer = await this.#ctx.guard.require(keys)
    const { view } = this.#model
    const comparable =
      answer.code === 'required' ? { code: answer.code, required: answer.required.map(pointOf) } : answer
    expect(comparable).toEqual(this.#model.require(keys))
    this.#tally(`require ${answer.code}`)
    if (answer.code !== 'required') return
    expect(pointOf(answer.view.watermark)).toBe(view!.watermark)
    // A value that lies in another cell is held to the same as one that would be stored here (I2).
    for (const [i, required] of answer.required.entries()) {
      const newest = this.#newestApplied.get(keys[i]!.key)
      if (newest !== undefined) assert(newest < pointOf(required), `I2: ${keys[i]!.key} requires less than was applied`)
    }
    if ([...view!.generations.keys()].some((slot) => !this.#model.tombstones.has(slot))) this.#tally('require blind')
  }

  async #fill(operation: Operation & { kind: 'fill' }): Promise<void> {
    const { key, primary } = operation
    const id = this.#idOf(key, operation.id)
    const ttlMs = operation.ttlSteps * TTL_STEP_MS
    const keyspace = KEYSPACES[key]!
    const low = this.#labelBase(operation) + BigInt(operation.by)
    const value: ModelValue = {
      low,
      high: low + BigInt(operation.width),
      loadedAt: primary ? 1_700_000_000_000 + this.#count : null,
      payload: `+${++this.#count}`,
    }
    const label = { low: positionOf(value.low), high: positionOf(value.high) }
    const payload = Buffer.from(value.payload)
    const answer = await this.#ctx.guard.fill(key, keyspace, id, { label, loadedAt: value.loadedAt, ttlMs, payload })
    const comparable = answer.code === 'stale' ? { ...answer, required: pointOf(answer.required) } : answer
    expect(comparable).toEqual(this.#model.fill(key, keyspace, id, value, ttlMs))
    this.#tally(`fill ${answer.code}`)
  }

  #labelBase({ key, base }: Operation & { kind: 'fill' }): Point {
    const { end } = this.#log
    const { view } = this.#model
    const required = view && !view.gap ? this.#model.required(key, KEYSPACES[key]!) : end
    if (base === 'required') return required > 10n ? required : end
    return (base === 'value' && this.#model.cells.get(key)?.value?.low) || end
  }

  #idOf(key: string, which: Id): string {
    const [held, earlier] = this.#leases.get(key) ?? []
    return (which === 'held' ? held : which === 'earlier' ? earlier : undefined) ?? FOREIGN
  }

  async #declareGap(operation: Operation & { kind: 'declareGap' }): Promise<void> {
    const offset = this.#model.view?.offset ?? null
    const another = offset === null ? 5n : offset + 1n
    const expected = operation.expected === 'what is there' ? offset : operation.expected === 'another' ? another : null
    const next = (offset ?? 0n) + BigInt(operation.skipped)
    const epoch = operation.epochs === null ? 0 : this.#log.epochBy(operation.epochs)
    const declared = await this.#ctx.guard.declareGap(next, `gap ${next}`, expected, epoch)
    expect(declared).toBe(this.#model.declareGap(next, `gap ${next}`, expected, epoch))
    this.#tally(`declareGap ${declared}`)
    if (declared && offset === null) this.#newestApplied.clear()
  }

  /** What befalls a partition without any command: evictions, the loss of all, and time. */
  async #suffer(
    operation: Exclude<
      Operation,
      { kind: 'apply' | 'replay' | 'lease' | 'fill' | 'require' | 'release' | 'declareGap' }
    >,
  ) {
    const { redis, keys } = this.#ctx
    switch (operation.kind) {
      case 'evictCell':
        await redis.del(keys.cell(operation.key))
        this.#model.cells.delete(operation.key)
        return false
      case 'evictGeneration':
        await redis.del(keys.generations[operation.slot]!)
        this.#model.tombstones.delete(operation.slot)
        return false
      case 'evictView':
        await redis.del(keys.view)
        this.#model.view = null
        return true
      case 'flush':
        await redis.del(keys.view, ...keys.generations, ...KEYS.map((key) => keys.cell(key)))
        this.#model.flush()
        return true
      case 'endLease':
        await this.#endLease(operation.key)
        return false
      case 'ageGeneration':
        await this.#ageGeneration()
        return false
    }
  }

  /** Lets the lease of a key be over, as if its time had passed while the cell stayed. */
  async #endLease(key: string): Promise<void> {
    const lease = this.#model.cells.get(key)?.lease
    if (!lease) return
    await this.#ctx.redis.setrange(this.#ctx.keys.cell(key), LEASE_END_AT, '1'.padStart(13, '0'))
    lease.over = true
  }

  /** Lets the generation that is written to be as old as may be. */
  async #ageGeneration(): Promise<void> {
    const { view } = this.#model
    const generation = view?.generations.get(view.current)
    if (!view || !generation) return
    const stored = JSON.parse((await this.#ctx.redis.get(this.#ctx.keys.view))!)
    stored.generations[String(view.current)].since = 0
    await this.#ctx.redis.set(this.#ctx.keys.view, JSON.stringify(stored))
    generation.old = true
  }

  /** What was told agrees with the state, and goes on where the last message ended; copies are kept by it. */
  async #listen(): Promise<void> {
    for (const expected of this.#model.told.splice(0)) {
      this.#lost = null
      const told = messageState(decodeFeedMessage(await this.#tap.deliver()))
      if (!isDeepStrictEqual(told, expected)) expect(told).toEqual(expected)
      this.#tally(`told ${this.#lost ?? 'next'}`)
      assert(this.#lost !== 'hole' && this.#lost !== 'again', `the feed is not unbroken: ${this.#lost}`)
    }
    assert.equal(this.#tap.waiting, 0, 'what changed nothing tells nothing')
  }

  async #keepCopies(): Promise<void> {
    const reads = KEYS.map(async (key) => {
      const read = this.#copies.begin(key)
      this.#copies.finish(read, await this.#ctx.guard.look(key))
    })
    await Promise.all(reads)
  }

  /** I2: no live value lacks an invalidation of its key that was applied. */
  #expectGuarded(state: PartitionState): void {
    for (const [key, cell] of Object.entries(state.cells)) {
      if (cell.state !== 'live') continue
      const newest = this.#newestApplied.get(key)
      if (newest !== undefined) assert(newest < cell.low, `I2: ${key} lacks an event that was applied`)
    }
  }

  /** No copy in the process lacks one either. */
  #expectCopiesGuarded(): void {
    for (const [key, { label }] of this.#copies.entries()) {
      this.#tally('copy kept')
      const newest = this.#newestApplied.get(key)
      if (newest !== undefined) assert(newest < pointOf(label.low), `a copy of ${key} lacks an event that was applied`)
    }
  }

  /** I6: nothing in a view goes back while the view is there. */
  #expectMonotonic(state: PartitionState): void {
    const was = flat(this.#before.view)
    const is = flat(state.view)
    for (const [field, value] of Object.entries(was)) {
      assert((is[field] ?? -1n) >= value, `I6: ${field} went back`)
    }
  }

  #tally(answer: string): void {
    this.#answers.set(answer, (this.#answers.get(answer) ?? 0) + 1)
  }
}

function messageState({ epoch, watermark, newest, floors, gap, many, ...rest }: FeedMessage): ModelMessage {
  assert(!many, 'few keys are named')
  return {
    ...rest,
    epoch: Number.parseInt(epoch, 16),
    watermark: pointOf(watermark),
    newest: pointOf(newest),
    floors: floors ? new Map(Object.entries(floors).map(([name, floor]) => [name, pointOf(floor)])) : null,
    gap: gap ?? null,
  }
}

/** The fields of a view that only rise. */
function flat(view: PartitionState['view']): Record<string, bigint> {
  if (view === null) return {}
  const { floors, epoch, beat, watermark, newest, horizon, offset } = view
  const rising = { epoch, beat, watermark, newest, horizon, offset, ...(floors as Record<string, Point>) }
  return Object.fromEntries(Object.entries(rising).map(([field, value]) => [field, BigInt(value as bigint | number)]))
}
