import assert from 'node:assert/strict'
import { isTidemarkError, type Position, parsePosition, type Version } from '@tidemark/protocol'
import { type Cell, decodeCell, encodeTime, type Label, MAX_HEAD_BYTES } from './cell.ts'
import { type Inspection, inspectionIn } from './inspection.ts'
import type { PartitionKeys } from './keys.ts'
import { type RedisClient, Script } from './script.ts'
import { decodeOffset, decodeView, encodeEpoch, encodeOffset, type View } from './view.ts'

/** An invalidation to apply. */
export interface Invalidation {
  readonly key: string
  readonly version: Version
  /** How long a value that it invalidates is retained as stale, in ms; 0 removes it. */
  readonly retainStaleMs: number
  /** What the value is from this version on, where the keyspace is updated in place. */
  readonly update?: Update
}

/** A row's projection, to be stored over an older value of its key. */
export interface Update {
  readonly keyspace: string
  readonly payload: Buffer
  readonly ttlMs: number
}

/** Consecutive records of one partition. The start of an epoch may only be at a batch's beginning. */
export interface Batch {
  /** Offset of its first record, and the one after its last. */
  readonly from: bigint
  readonly next: bigint
  readonly epochStart: Position | null
  readonly floors: readonly { readonly keyspace: string; readonly position: Position }[]
  readonly events: readonly Invalidation[]
  /** The newest watermark in it, and the time (ms since 1970) before which every visible commit is covered by it. */
  readonly watermark: { readonly position: Position; readonly beatMs: number } | null
}

/** What became of one event, by its letter in apply.lua's answer. */
export type Outcome = 'removed' | 'retained' | 'updated' | 'kept' | 'absent' | 'old-epoch'

export type ApplyResult =
  | { readonly code: 'applied'; readonly outcomes: readonly Outcome[] }
  | { readonly code: 'seek'; readonly offset: bigint }
  | { readonly code: 'view-missing' }
  | { readonly code: 'epoch-unannounced' }

/** Records of one partition that are applied once more, from wherever in its log. */
export interface Repair {
  readonly epochStart: Position | null
  readonly floors: readonly { readonly keyspace: string; readonly position: Position }[]
  /** Updates are not looked at: a row's projection from the past is no repair. */
  readonly events: readonly Omit<Invalidation, 'update'>[]
}

export type ReplayResult =
  | { readonly code: 'replayed'; readonly outcomes: readonly Outcome[] }
  | { readonly code: 'view-missing' }
  | { readonly code: 'epoch-unannounced' }

export type LeaseResult =
  | { readonly code: 'granted'; readonly required: Position; readonly granted: Position }
  | { readonly code: 'changed' }
  | { readonly code: 'busy'; readonly ms: number }
  | { readonly code: 'view-missing' }
  | { readonly code: 'gap' }

export type FillResult =
  | { readonly code: 'stored' }
  | { readonly code: 'stale'; readonly required: Position }
  | { readonly code: 'older' | 'lease-lost' | 'view-missing' | 'gap' }

/** A key, and the keyspace whose floors are its own. */
export interface RequiredKey {
  readonly key: string
  readonly keyspace: string
}

export type RequireResult =
  /** A position for each key, in the order of asking, under the view that was read in the same command. */
  | { readonly code: 'required'; readonly view: View; readonly required: readonly Position[] }
  | { readonly code: 'view-missing' }
  | { readonly code: 'gap' }

/** Bounds of a partition's tombstones. */
export interface TombstoneLimits {
  /** Most keys in one of the four generations. */
  readonly perGeneration: number
  /** Longest time for which one generation is written to, in ms. */
  readonly generationMs: number
}

export const DEFAULT_TOMBSTONE_LIMITS: TombstoneLimits = { perGeneration: 10_000, generationMs: 300_000 }

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  r: 'removed',
  s: 'retained',
  u: 'updated',
  k: 'kept',
  a: 'absent',
  o: 'old-epoch',
}

/** Most keys in one `require`: Redis does nothing else meanwhile. */
export const MAX_REQUIRED_KEYS = 500

/** Fixed width: a cell keeps the id without its length. */
const LEASE_ID = /^[0-9a-f]{16}$/

const APPLY = new Script('apply')
const LEASE = new Script('lease-6')
const FILL = new Script('fill-6')
const RELEASE = new Script('release-1')
const DECLARE_GAP = new Script('declare_gap-5')
const REPLAY = new Script('replay')
const SHED = new Script('shed')
const INSPECT = new Script('inspect-6')
const REQUIRE = new Script('require-5')

/** The view and cell of a key, as one command read them. */
export interface Sight {
  readonly view: View | null
  readonly cell: Cell | null
}

/**
 * One partition's cells and view in one region's Redis. Every rule is in the Lua commands, which see view and cell
 * together; this class only turns their arguments and answers into types. A guard on the client's side would be
 * checked against what Redis held a round trip ago.
 */
export class Guard {
  readonly #redis: RedisClient
  readonly #keys: PartitionKeys
  readonly #partitionKeys: readonly string[]

  constructor(redis: RedisClient, keys: PartitionKeys) {
    this.#redis = redis
    this.#keys = keys
    this.#partitionKeys = [keys.view, ...keys.generations]
  }

  /** View and cell of a key, in one MGET. */
  async look(key: string): Promise<Sight> {
    const [view, cell] = await this.#redis.mgetBuffer(this.#keys.view, this.#keys.cell(key))
    return { view: decodeView(view ?? null), cell: decodeCell(cell ?? null) }
  }

  /**
   * The view once and the cells of many keys, in one MGET. A cell that cannot be read is as good as none, since whoever
   * has its lease writes it anew: `malformed` says how many there were. Throws CELL_MALFORMED for such a view.
   */
  async lookMany(keys: readonly string[]): Promise<{ sights: readonly Sight[]; malformed: number }> {
    const [raw, ...cells] = await this.#redis.mgetBuffer(this.#keys.view, ...keys.map((key) => this.#keys.cell(key)))
    const view = decodeView(raw ?? null)
    let malformed = 0
    const sights = keys.map((_, i) => {
      try {
        return { view, cell: decodeCell(cells[i] ?? null) }
      } catch (error) {
        if (!isTidemarkError(error, 'CELL_MALFORMED')) throw error
        malformed++
        return { view, cell: null }
      }
    })
    return { sights, malformed }
  }

  async view(): Promise<View | null> {
    const [view] = await this.#redis.mgetBuffer(this.#keys.view)
    return decodeView(view ?? null)
  }

  async apply(batch: Batch, limits: TombstoneLimits): Promise<ApplyResult> {
    assert(batch.next > batch.from, 'a batch holds at least one record')
    const answer = await APPLY.run(
      this.#redis,
      [...this.#partitionKeys, ...batch.events.map((e) => this.#keys.cell(e.key))],
      [
        this.#keys.feed,
        encodeOffset(batch.from),
        encodeOffset(batch.next),
        batch.epochStart ?? '',
        batch.watermark?.position ?? '',
        String(Math.floor(batch.watermark?.beatMs ?? 0)),
        String(limits.perGeneration),
        String(limits.generationMs),
        String(batch.floors.length),
        ...batch.floors.flatMap((f) => [f.keyspace, f.position]),
        ...batch.events.flatMap((e) => [e.key, e.version, String(e.retainStaleMs)]),
        ...batch.events.flatMap(updateOf),
      ],
    )
    switch (answer[0]) {
      case 'APPLIED':
        return { code: 'applied', outcomes: Array.from(String(answer[1]), outcomeOf) }
      case 'SEEK':
        return { code: 'seek', offset: decodeOffset(String(answer[1])) }
      case 'VIEW_MISSING':
        return { code: 'view-missing' }
      case 'EPOCH_UNANNOUNCED':
        return { code: 'epoch-unannounced' }
      default:
        throw unexpected('apply', answer)
    }
  }

  /** @param unusable where the label of the live value began that the caller could not use, if there was one */
  async lease(key: string, keyspace: string, id: string, ms: number, unusable: Position | null): Promise<LeaseResult> {
    assert(LEASE_ID.test(id), 'the id of a lease has 16 hexadecimal digits')
    const args = [key, keyspace, id, String(ms), unusable ?? '']
    const answer = await LEASE.run(this.#redis, this.#keysWith(key), args)
    switch (answer[0]) {
      case 'GRANTED':
        return { code: 'granted', required: positionIn(answer[1]), granted: positionIn(answer[2]) }
      case 'BUSY':
        return { code: 'busy', ms: Number(answer[1]) }
      case 'CHANGED':
        return { code: 'changed' }
      case 'VIEW_MISSING':
        return { code: 'view-missing' }
      case 'GAP':
        return { code: 'gap' }
      default:
        throw unexpected('lease', answer)
    }
  }

  /** Where a label must begin to lack nothing that is known of the keys, cached or not. Nothing is written. */
  async require(keys: readonly RequiredKey[]): Promise<RequireResult> {
    assert(keys.length <= MAX_REQUIRED_KEYS, `at most ${MAX_REQUIRED_KEYS} keys are asked for in one command`)
    const args = keys.flatMap(({ key, keyspace }) => [key, keyspace])
    const answer = await REQUIRE.run(this.#redis, this.#partitionKeys, args)
    switch (answer[0]) {
      case 'REQUIRED': {
        const view = decodeView(String(answer[1]))
        assert(view, 'what is required is required by a view')
        return { code: 'required', view, required: answer.slice(2).map(positionIn) }
      }
      case 'VIEW_MISSING':
        return { code: 'view-missing' }
      case 'GAP':
        return { code: 'gap' }
      default:
        throw unexpected('require', answer)
    }
  }

  /** @param loadedAt ms since 1970 of a load from the primary, null for one from a replica */
  async fill(
    key: string,
    keyspace: string,
    id: string,
    value: {
      readonly label: Label
      readonly loadedAt: number | null
      readonly ttlMs: number
      readonly payload: Buffer
    },
  ): Promise<FillResult> {
    const { low, high } = value.label
    assert(low <= high, 'a label begins before it ends')
    const args = [key, keyspace, id, low, high, encodeTime(value.loadedAt), String(value.ttlMs), value.payload]
    const answer = await FILL.run(this.#redis, this.#keysWith(key), args)
    switch (answer[0]) {
      case 'STORED':
        return { code: 'stored' }
      case 'STALE':
        return { code: 'stale', required: positionIn(answer[1]) }
      case 'OLDER':
        return { code: 'older' }
      case 'LEASE_LOST':
        return { code: 'lease-lost' }
      case 'VIEW_MISSING':
        return { code: 'view-missing' }
      case 'GAP':
        return { code: 'gap' }
      default:
        throw unexpected('fill', answer)
    }
  }

  /** Gives a lease back without a value. */
  async release(key: string, id: string): Promise<void> {
    await RELEASE.run(this.#redis, [this.#keys.cell(key)], [id])
  }

  /**
   * Opens a gap at `next`, unless the view is no longer what the caller saw.
   * @param expected the offset of the view that the caller saw, null when it saw none
   * @param epoch the newest epoch that the caller has met in any partition, 0 for none: no older one ends the gap
   * @returns whether the gap was declared
   */
  async declareGap(next: bigint, cause: string, expected: bigint | null, epoch: number): Promise<boolean> {
    const seen = expected === null ? '' : encodeOffset(expected)
    const args = [this.#keys.feed, encodeOffset(next), cause, seen, encodeEpoch(epoch)]
    const answer = await DECLARE_GAP.run(this.#redis, this.#partitionKeys, args)
    return answer[0] === 'DECLARED'
  }

  /**
   * Drops cells, or with `tombstones` also these but the newest generation, to make room in a Redis that is full.
   * @returns how many keys there were to drop
   */
  async shed(keys: readonly string[], tombstones: boolean): Promise<number> {
    const names = [...this.#partitionKeys, ...keys.map((key) => this.#keys.cell(key))]
    const answer = await SHED.run(this.#redis, names, [tombstones ? '1' : ''])
    return Number(answer[1])
  }

  /** Applies records once more: they can only make things fresher, and say nothing of how far the worker is. */
  async replay({ epochStart, floors, events }: Repair, limits: TombstoneLimits): Promise<ReplayResult> {
    const answer = await REPLAY.run(
      this.#redis,
      [...this.#partitionKeys, ...events.map((e) => this.#keys.cell(e.key))],
      [
        this.#keys.feed,
        epochStart ?? '',
        String(limits.perGeneration),
        String(limits.generationMs),
        String(floors.length),
        ...floors.flatMap((f) => [f.keyspace, f.position]),
        ...events.flatMap((e) => [e.key, e.version, String(e.retainStaleMs)]),
      ],
    )
    switch (answer[0]) {
      case 'REPLAYED':
        return { code: 'replayed', outcomes: Array.from(String(answer[1]), outcomeOf) }
      case 'VIEW_MISSING':
        return { code: 'view-missing' }
      case 'EPOCH_UNANNOUNCED':
        return { code: 'epoch-unannounced' }
      default:
        throw unexpected('replay', answer)
    }
  }

  /** All that Redis knows of a key at one instant, but for its value. Nothing is written. */
  async inspect(key: string): Promise<Inspection> {
    return inspectionIn(await INSPECT.run(this.#redis, this.#keysWith(key), [key, String(MAX_HEAD_BYTES)]))
  }

  #keysWith(key: string): string[] {
    return [...this.#partitionKeys, this.#keys.cell(key)]
  }
}

/** The part of apply's arguments that only an event with an update has. */
function updateOf({ update }: Invalidation, index: number): (string | Buffer)[] {
  return update ? [String(index + 1), update.keyspace, String(update.ttlMs), update.payload] : []
}

function outcomeOf(letter: string): Outcome {
  const outcome = OUTCOMES[letter]
  assert(outcome, `apply answers ${letter}`)
  return outcome
}

function positionIn(answer: unknown): Position {
  return parsePosition(String(answer))
}

function unexpected(command: string, answer: readonly unknown[]): Error {
  return new assert.AssertionError({ message: `${command} answers ${String(answer[0])}` })
}
