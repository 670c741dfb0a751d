import { type ApplyResult, type Batch, type Outcome, offsetOf, type Sight, type View } from '@tidemark/guard'
import { after, epochOf, maxPosition, ORIGIN, type Position, type Version } from '@tidemark/protocol'

interface ModelCell {
  readonly state: 'live' | 'stale'
  readonly low: Position
}

/** For tests: the rules of the guard for one partition, in memory, without tombstone generations and leases. */
export class GuardModel {
  readonly cells = new Map<string, ModelCell>()
  readonly tombstones = new Map<string, Version>()
  #view: View | null = null

  /** A trusted view at that offset. */
  static at(offset: bigint, epoch = 1): GuardModel {
    const model = new GuardModel()
    model.#view = { ...emptyView(offset), epoch: hex(epoch, 8) }
    return model
  }

  /** A view that waits for its first watermark. */
  static inGap(offset: bigint, epoch = 1): GuardModel {
    const model = GuardModel.at(offset, epoch)
    model.#view = { ...model.#view!, gap: 'view-missing' }
    return model
  }

  async view(): Promise<View | null> {
    return this.#view
  }

  async look(key: string): Promise<Sight> {
    const cell = this.cells.get(key)
    if (!cell) return { view: this.#view, cell: null }
    const label = { low: cell.low, high: cell.low }
    return { view: this.#view, cell: { state: cell.state, label, loadedAt: null, payload: Buffer.alloc(0) } }
  }

  async declareGap(next: bigint, cause: string, expected: bigint | null, epoch: number): Promise<boolean> {
    if ((this.#view && offsetOf(this.#view)) !== expected) return false
    this.tombstones.clear()
    const known = this.#view ? Number.parseInt(this.#view.epoch, 16) : 0
    this.#view = { ...emptyView(next), epoch: hex(Math.max(known, epoch), 8), gap: cause }
    return true
  }

  /** As if Redis had lost everything. */
  flush(): void {
    this.#view = null
    this.cells.clear()
    this.tombstones.clear()
  }

  async apply(batch: Batch): Promise<ApplyResult> {
    const view = this.#view
    if (view === null) return { code: 'view-missing' }
    if (batch.from !== offsetOf(view)) return { code: 'seek', offset: offsetOf(view) }
    const epoch = Math.max(Number.parseInt(view.epoch, 16), batch.epochStart ? epochOf(batch.epochStart) : 0)
    if (view.gap === undefined && mentioned(batch).some((p) => epochOf(p) > epoch)) return { code: 'epoch-unannounced' }
    const draft = { ...view, epoch: hex(epoch, 8), offset: hex(batch.next, 16), floors: { ...view.floors } }
    if (batch.epochStart && epochOf(batch.epochStart) === epoch) raise(draft.floors, '*', batch.epochStart)
    for (const f of batch.floors) if (epochOf(f.position) >= epoch) raise(draft.floors, f.keyspace, f.position)
    const outcomes = batch.events.map((e) => (epochOf(e.version) < epoch ? 'old-epoch' : this.#invalidate(e)))
    for (const [i, e] of batch.events.entries()) {
      if (outcomes[i] !== 'old-epoch' && e.version > draft.newest) draft.newest = e.version
    }
    this.#view = batch.watermark && epochOf(batch.watermark.position) >= epoch ? beaten(draft, batch.watermark) : draft
    return { code: 'applied', outcomes }
  }

  #invalidate({ key, version, retainStaleMs, update }: Batch['events'][number]): Outcome {
    const known = this.tombstones.get(key)
    if (known === undefined || known < version) this.tombstones.set(key, version)
    const cell = this.cells.get(key)
    if (update && cell && this.#mayUpdate(key, version, cell)) {
      this.cells.set(key, { state: 'live', low: after(version) })
      return 'updated'
    }
    if (cell?.state !== 'live') return 'absent'
    if (version < (cell.low as string)) return 'kept'
    if (retainStaleMs === 0) this.cells.delete(key)
    else this.cells.set(key, { ...cell, state: 'stale' })
    return retainStaleMs === 0 ? 'removed' : 'retained'
  }

  /** Its labels have no width. */
  #mayUpdate(key: string, version: Version, cell: ModelCell): boolean {
    const { gap, horizon, floors } = this.#view!
    const required = maxPosition(horizon, after(this.tombstones.get(key)!), ...Object.values(floors))
    return gap === undefined && (cell.low as string) <= version && after(version) >= required
  }
}

function beaten(view: View, { position, beatMs }: NonNullable<Batch['watermark']>): View {
  const { gap, ...rest } = view
  const floors = { ...view.floors }
  if (gap !== undefined) raise(floors, '*', position)
  return {
    ...rest,
    floors,
    epoch: gap === undefined ? view.epoch : hex(epochOf(position), 8),
    horizon: gap === undefined ? view.horizon : maxPosition(view.horizon, position),
    watermark: maxPosition(view.watermark, position),
    beat: Math.max(view.beat, beatMs),
  }
}

function emptyView(offset: bigint): View {
  return {
    epoch: hex(0, 8),
    watermark: ORIGIN,
    newest: ORIGIN as string as Version,
    horizon: ORIGIN,
    floors: {},
    offset: hex(offset, 16),
    beat: 0,
    current: 0,
    generations: {},
  }
}

function mentioned({ floors, events, watermark }: Batch): Position[] {
  const versions = events.map((e) => after(e.version))
  return [...floors.map((f) => f.position), ...versions, ...(watermark ? [watermark.position] : [])]
}

function raise(floors: Record<string, Position>, keyspace: string, position: Position): void {
  floors[keyspace] = maxPosition(floors[keyspace] ?? ORIGIN, position)
}

function hex(n: number | bigint, digits: number): string {
  return n.toString(16).padStart(digits, '0')
}
