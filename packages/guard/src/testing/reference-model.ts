import type {
  ApplyResult,
  Batch,
  FillResult,
  Invalidation,
  LeaseResult,
  Outcome,
  Repair,
  ReplayResult,
  RequiredKey,
} from '../guard.ts'
import { GENERATIONS } from '../keys.ts'

/**
 * The protocol's sections 2, 4, 5 and 6 over plain maps and big integers, for comparison with the Lua commands. It was
 * written from the text and not from the commands, and it is slow and plain on purpose. It knows no clock: the test
 * says when a lease is over and when a generation is old.
 *
 * A point (version or position) is `epoch << 64 | LSN`, so that `p` covers `v` iff `v < p`, and after v comes v + 1.
 */
export type Point = bigint

export interface ModelValue {
  readonly low: Point
  readonly high: Point
  readonly loadedAt: number | null
  readonly payload: string
}

export interface ModelCell {
  state: 'live' | 'stale' | 'none'
  value: ModelValue | null
  lease: { readonly id: string; over: boolean } | null
  /** The time to live last given, ms. */
  ttlMs: number
}

export interface ModelView {
  epoch: number
  watermark: Point
  newest: Point
  horizon: Point
  floors: Map<string, Point>
  offset: bigint
  beat: number
  current: number
  /** Slot → newest version in it, and whether it is old. */
  generations: Map<number, { newest: Point; old: boolean }>
  gap: string | null
}

/** The same answers as the guard's, with points for positions. `busy` says no time: the model has no clock. */
export type ModelLease =
  | { readonly code: 'granted'; readonly required: Point; readonly granted: Point }
  | { readonly code: Exclude<LeaseResult['code'], 'granted'> }
export type ModelRequire =
  | { readonly code: 'required'; readonly required: readonly Point[] }
  | { readonly code: 'view-missing' | 'gap' }
export type ModelFill =
  | { readonly code: 'stale'; readonly required: Point }
  | { readonly code: Exclude<FillResult['code'], 'stale'> }

/** What subscribers are told, with points for positions. */
export interface ModelMessage {
  readonly from: bigint
  readonly next: bigint
  readonly epoch: number
  readonly watermark: Point
  readonly newest: Point
  readonly beat: number
  readonly gap: string | null
  readonly keys: readonly string[]
  /** All of them, when one rose. */
  readonly floors: ReadonlyMap<string, Point> | null
}

export const pointOf = (text: string): Point => BigInt(`0x${text}`)
export const epochIn = (point: Point): number => Number(point >> 64n)
const max = (...points: Point[]): Point => points.reduce((a, b) => (a > b ? a : b))

export class ReferenceModel {
  view: ModelView | null = null
  readonly cells = new Map<string, ModelCell>()
  /** Slot → key → version. A slot that is not there was dropped or evicted. */
  readonly tombstones = new Map<number, Map<string, Point>>()
  /** What subscribers were told, until somebody takes it. */
  readonly told: ModelMessage[] = []

  /** What a label must begin at to be stored under the key (6.2), by a view that is there. */
  required(key: string, keyspace: string, view: ModelView = this.view!): Point {
    const known = [...view.generations.keys()].map((slot) => this.tombstones.get(slot)?.get(key))
    const past = known.map((v) => (v === undefined ? 0n : v + 1n))
    return max(view.horizon, view.floors.get('*') ?? 0n, view.floors.get(keyspace) ?? 0n, ...past)
  }

  apply(batch: Batch, perGeneration: number): ApplyResult {
    const { view } = this
    if (!view) return { code: 'view-missing' }
    if (batch.from !== view.offset) return { code: 'seek', offset: view.offset }
    const start = batch.epochStart === null ? null : pointOf(batch.epochStart)
    const epoch = Math.max(view.epoch, start === null ? 0 : epochIn(start))
    if (!view.gap && pointsOf(batch).some((p) => epochIn(p) > epoch)) return { code: 'epoch-unannounced' }

    view.epoch = epoch
    this.#noticeEvicted(view)
    const floors = new Map(view.floors)
    this.#raiseFloors(view, batch)
    const outcomes = batch.events.map((event) => this.#applyEvent(view, event, perGeneration))
    if (batch.watermark) this.#advance(view, pointOf(batch.watermark.position), batch.watermark.beatMs)
    view.offset = batch.next
    this.#tell(batch.from, keysApplied(batch.events, outcomes), floors)
    return { code: 'applied', outcomes }
  }

  /** Records once more, as repairs: how far the worker is stays as it is, but for N, which covers every tombstone. */
  replay(repair: Repair, perGeneration: number): ReplayResult {
    const { view } = this
    if (!view) return { code: 'view-missing' }
    const starts = repair.epochStart === null ? [] : [pointOf(repair.epochStart)]
    if ([...starts, ...pointsOf(repair)].some((p) => epochIn(p) > view.epoch)) return { code: 'epoch-unannounced' }
    this.#noticeEvicted(view)
    const floors = new Map(view.floors)
    this.#raiseFloors(view, repair)
    const events = repair.events.map(({ key, version, retainStaleMs }) => ({ key, version, retainStaleMs }))
    const outcomes = events.map((event) => this.#applyEvent(view, event, perGeneration))
    this.#tell(view.offset, keysApplied(events, outcomes), floors)
    return { code: 'replayed', outcomes }
  }

  #raiseFloors(view: ModelView, { epochStart, floors }: Pick<Batch, 'epochStart' | 'floors'>): void {
    if (epochStart !== null && epochIn(pointOf(epochStart)) === view.epoch) raiseFloor(view, '*', pointOf(epochStart))
    for (const { keyspace, position } of floors) {
      if (epochIn(pointOf(position)) >= view.epoch) raiseFloor(view, keyspace, pointOf(position))
    }
  }

  #applyEvent(view: ModelView, event: Invalidation, perGeneration: number): Outcome {
    const version = pointOf(event.version)
    if (epochIn(version) < view.epoch) return 'old-epoch'
    this.#bury(view, event.key, version, perGeneration)
    view.newest = max(view.newest, version)
    return this.#update(view, event, version) ?? this.#invalidate(event.key, version, event.retainStaleMs)
  }

  /** One message for each that changed something, from where the view stood to where it stands. */
  #tell(from: bigint, keys: readonly string[], before: ReadonlyMap<string, Point>): void {
    const { offset, epoch, watermark, newest, beat, gap, floors } = this.view!
    const rose = floors.size > before.size || [...floors].some(([name, floor]) => floor > before.get(name)!)
    const risen = rose ? new Map(floors) : null
    this.told.push({ from, next: offset, epoch, watermark, newest, beat, gap, keys, floors: risen })
  }

  /** 4, "Kafka": a gap ends with the first watermark from where it was declared. */
  #advance(view: ModelView, watermark: Point, beat: number): void {
    if (epochIn(watermark) < view.epoch) return
    if (view.gap) {
      view.gap = null
      view.epoch = epochIn(watermark)
      view.horizon = max(view.horizon, watermark)
      raiseFloor(view, '*', watermark)
    }
    view.watermark = max(view.watermark, watermark)
    view.beat = Math.max(view.beat, beat)
  }

  /** 1, "tombstones" and "horizon": a few generations; the oldest is dropped whole, and the horizon covers it. */
  #bury(view: ModelView, key: string, version: Point, perGeneration: number): void {
    if (view.horizon > version) return
    const writing = view.generations.get(view.current)
    if (writing && (writing.old || this.tombstones.get(view.current)!.size >= perGeneration)) {
      view.current = (view.current + 1) % GENERATIONS
      const oldest = view.generations.get(view.current)
      if (oldest) view.horizon = max(view.horizon, oldest.newest + 1n)
      view.generations.delete(view.current)
    }
    if (!view.generations.has(view.current)) {
      view.generations.set(view.current, { newest: 0n, old: false })
      this.tombstones.set(view.current, new Map())
    }
    const generation = view.generations.get(view.current)!
    const hash = this.tombstones.get(view.current)!
    hash.set(key, max(version, hash.get(key) ?? 0n))
    generation.newest = max(generation.newest, version)
  }

  /** 5.6: written over an older value, if it could also be stored; null where it has to invalidate instead. */
  #update(view: ModelView, { key, update }: Invalidation, version: Point): Outcome | null {
    const cell = this.cells.get(key)
    if (!update || !cell?.value || view.gap || cell.value.high > version) return null
    const label = version + 1n
    if (label < this.required(key, update.keyspace)) return null
    cell.state = 'live'
    cell.value = { low: label, high: label, loadedAt: null, payload: update.payload.toString() }
    cell.ttlMs = update.ttlMs
    return 'updated'
  }

  /** 5.1: live and `L` covers `v`, keep; live otherwise, remove, or retain as stale. */
  #invalidate(key: string, version: Point, retainStaleMs: number): Outcome {
    const cell = this.cells.get(key)
    if (cell?.state !== 'live') return 'absent'
    if (version < cell.value!.low) return 'kept'
    if (retainStaleMs > 0) {
      cell.state = 'stale'
      cell.ttlMs = retainStaleMs
      return 'retained'
    }
    cell.state = 'none'
    cell.value = null
    this.#dropIfEmpty(key)
    return 'removed'
  }

  lease(key: string, keyspace: string, id: string, ms: number, unusable: Point | null): ModelLease {
    const { view } = this
    if (!view) return { code: 'view-missing' }
    if (view.gap) return { code: 'gap' }
    this.#noticeEvicted(view)
    const required = this.required(key, keyspace)
    const cell = this.cells.get(key)
    const low = cell?.state === 'live' ? cell.value!.low : null
    if (low !== null && low >= required && low !== unusable) return { code: 'changed' }
    if (cell?.lease && !cell.lease.over && cell.lease.id !== id) return { code: 'busy' }
    const lease = { id, over: false }
    if (cell && cell.state !== 'none') cell.lease = lease
    else this.cells.set(key, { state: 'none', value: null, lease, ttlMs: ms })
    return { code: 'granted', required, granted: max(view.watermark, view.newest + 1n, required) }
  }

  /** The same of several keys, and nothing is changed: what was evicted is noticed in a view of its own. */
  require(keys: readonly RequiredKey[]): ModelRequire {
    if (!this.view) return { code: 'view-missing' }
    if (this.view.gap) return { code: 'gap' }
    const view = { ...this.view, generations: new Map(this.view.generations) }
    this.#noticeEvicted(view)
    return { code: 'required', required: keys.map(({ key, keyspace }) => this.required(key, keyspace, view)) }
  }

  fill(key: string, keyspace: string, id: string, value: ModelValue, ttlMs: number): ModelFill {
    const cell = this.cells.get(key)
    if (!cell || cell.lease?.id !== id) return { code: 'lease-lost' }
    cell.lease = null
    const answer = this.#mayStore(cell, key, keyspace, value.low)
    if (answer.code === 'stored') this.cells.set(key, { state: 'live', value, lease: null, ttlMs })
    else this.#dropIfEmpty(key)
    return answer
  }

  #mayStore(cell: ModelCell, key: string, keyspace: string, low: Point): ModelFill {
    if (!this.view) return { code: 'view-missing' }
    if (this.view.gap) return { code: 'gap' }
    this.#noticeEvicted(this.view)
    const required = this.required(key, keyspace)
    if (low < required) return { code: 'stale', required }
    if (cell.state === 'live' && low < cell.value!.low) return { code: 'older' }
    return { code: 'stored' }
  }

  release(key: string, id: string): void {
    const cell = this.cells.get(key)
    if (cell?.lease?.id !== id) return
    cell.lease = null
    this.#dropIfEmpty(key)
  }

  /** 4, "Kafka": what the view knows stays true (I6), but nothing is trusted until the next watermark. */
  declareGap(next: bigint, cause: string, expected: bigint | null, epoch: number): boolean {
    if ((this.view?.offset ?? null) !== expected) return false
    if (!this.view) this.tombstones.clear()
    const known = this.view ?? nothingKnown()
    this.view = { ...known, epoch: Math.max(known.epoch, epoch), offset: next, gap: cause }
    this.#tell(next, [], this.view.floors)
    return true
  }

  flush(): void {
    this.view = null
    this.tombstones.clear()
    this.cells.clear()
  }

  /** 4: a generation that the view names and that is gone; its tombstones may have been as new as N. */
  #noticeEvicted(view: ModelView): void {
    for (const slot of [...view.generations.keys()]) {
      if (this.tombstones.has(slot)) continue
      view.generations.delete(slot)
      view.horizon = max(view.horizon, view.newest + 1n)
    }
  }

  #dropIfEmpty(key: string): void {
    const cell = this.cells.get(key)
    if (cell?.state === 'none' && !cell.lease) this.cells.delete(key)
  }
}

function raiseFloor(view: ModelView, keyspace: string, point: Point): void {
  view.floors.set(keyspace, max(point, view.floors.get(keyspace) ?? 0n))
}

function keysApplied(events: readonly Invalidation[], outcomes: readonly Outcome[]): string[] {
  return events.flatMap(({ key }, i) => (outcomes[i] === 'old-epoch' ? [] : [key]))
}

/** All that a batch says, but for the start of an epoch. */
function pointsOf(batch: Pick<Batch, 'floors' | 'events'> & Partial<Batch>): Point[] {
  const watermark = batch.watermark ? [batch.watermark.position] : []
  return [...watermark, ...batch.floors.map((f) => f.position), ...batch.events.map((e) => e.version)].map(pointOf)
}

function nothingKnown(): Omit<ModelView, 'offset' | 'gap'> {
  return {
    epoch: 0,
    watermark: 0n,
    newest: 0n,
    horizon: 0n,
    floors: new Map(),
    beat: 0,
    current: 0,
    generations: new Map(),
  }
}
