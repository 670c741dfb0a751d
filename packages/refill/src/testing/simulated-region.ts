import { type Cell, encodePayload, type FeedSubscriber, floorOf, type Sight, type View } from '@tidemark/guard'
import { after, covers, maxPosition, ORIGIN, type Position, position, type Version, version } from '@tidemark/protocol'

/** A commit to one key, or to every key of the keyspace: a TRUNCATE, told as a floor. */
interface Commit {
  readonly key: string | null
  readonly version: Version
}

type KafkaRecord =
  | { readonly kind: 'event'; readonly commit: Commit }
  | { readonly kind: 'watermark'; readonly position: Position; readonly beat: number }
  | { readonly kind: 'epoch'; readonly start: Position }

interface RedisState {
  view: View | null
  tombstones: Map<string, Version>
  cells: Map<string, Cell>
}

type Listener = (...args: string[]) => void

export const KEYSPACE = 'product'
export const KEYS = ['a', 'b', 'c'] as const
const RECORD_BYTES = 10n
const BATCH_RECORDS = 3

/**
 * One partition in one region, with everything that may befall it as a step of its own: commits, a publisher, a worker
 * that applies and tells, fills from replicas that lag, a Redis that is flushed or goes back, and a subscriber's
 * connection that loses messages with and without a word. A value is the number of commits that its load could see.
 */
export class SimulatedRegion {
  now = 1_700_000_000_000
  readonly subscriber = new Subscriber()
  readonly #commits: Commit[] = []
  readonly #records: KafkaRecord[] = []
  #epoch = 1
  #redis = emptyRedis()
  #snapshot = emptyRedis()

  constructor() {
    this.#records.push({ kind: 'epoch', start: this.here })
    this.#declareGap()
    this.#mark()
    this.#apply(BATCH_RECORDS)
  }

  /** The end of the log. */
  get here(): Position {
    return this.#cut(this.#commits.length)
  }

  /** Steps, by number; of each some more than others. */
  step(choice: number): void {
    const which = choice >> 4
    const steps = [
      () => this.commit(keyOf(which)),
      () => this.commit(which % 4 === 0 ? null : keyOf(which)),
      () => this.#mark(),
      () => this.#apply(1 + (which % BATCH_RECORDS)),
      () => this.#apply(1 + (which % BATCH_RECORDS)),
      () => this.#fill(keyOf(which), which % 3),
      () => this.#fill(keyOf(which), 0),
      () => this.subscriber.deliver(),
      () => this.subscriber.deliver(),
      () => this.subscriber.lose(),
      () => {
        this.now += which % 1_000
      },
      () => this.#befall(which),
    ]
    steps[choice % steps.length]!()
  }

  /** Commits, visible at once. */
  commit(key: string | null): Version {
    const commit = { key, version: version(this.#epoch, this.#lsn(this.#commits.length)) }
    this.#commits.push(commit)
    this.#records.push({ kind: 'event', commit })
    return commit.version
  }

  /** View and cell, in one command. */
  look(key: string): Sight {
    const cell = this.#redis.cells.get(key) ?? null
    return { view: this.#redis.view, cell }
  }

  /** How many commits to a key lie before a position. */
  countBefore(key: string, at: Position): number {
    return this.#commits.filter((c) => (c.key === key || c.key === null) && covers(at, c.version)).length
  }

  /** How many commits to a key a value reflects. */
  countIn(key: string, value: number): number {
    return this.#commits.slice(0, value).filter((c) => c.key === key || c.key === null).length
  }

  #befall(which: number): void {
    const events = [
      () => this.subscriber.breakOff(),
      () => {
        this.#snapshot = copyOf(this.#redis)
      },
      () => {
        this.#redis = copyOf(this.#snapshot)
      },
      () => this.#flush(),
      () => this.#openEpoch(),
    ]
    // Rare, or nothing would ever be kept.
    events[which % (3 * events.length)]?.()
  }

  #openEpoch(): void {
    this.#epoch++
    this.#records.push({ kind: 'epoch', start: this.here })
  }

  #flush(): void {
    this.#redis = emptyRedis()
  }

  #mark(): void {
    this.#records.push({ kind: 'watermark', position: this.here, beat: this.now })
  }

  #declareGap(): void {
    const known = { watermark: ORIGIN, newest: version(0, 0n), horizon: ORIGIN, floors: {}, beat: 0 }
    const epoch = hex(this.#epoch, 8)
    this.#redis.view = {
      ...known,
      epoch,
      offset: hex(this.#records.length, 16),
      current: 0,
      generations: {},
      gap: 'lost',
    }
    this.#tell(this.#redis.view.offset, [], false)
  }

  #apply(count: number): void {
    const { view } = this.#redis
    if (view === null) {
      this.#declareGap()
      return
    }
    const from = Number.parseInt(view.offset, 16)
    const batch = this.#records.slice(from, from + count)
    if (batch.length === 0) return
    for (const record of batch) this.#applyOne(record)
    const keys = batch.flatMap((r) => (r.kind === 'event' && r.commit.key !== null ? [r.commit.key] : []))
    const applied = this.#redis.view!
    this.#redis.view = { ...applied, offset: hex(from + batch.length, 16) }
    this.#tell(view.offset, keys, view.floors !== applied.floors)
  }

  #applyOne(record: KafkaRecord): void {
    const view = this.#redis.view!
    if (record.kind === 'event') this.#invalidate(record.commit)
    else if (record.kind === 'epoch') this.#raise('*', record.start, { epoch: record.start.slice(0, 8) })
    else {
      const { gap, ...open } = view
      this.#redis.view = { ...open, watermark: maxPosition(view.watermark, record.position), beat: record.beat }
      if (gap !== undefined) this.#raise('*', record.position, {})
    }
  }

  #invalidate({ key, version: v }: Commit): void {
    const { cells, tombstones } = this.#redis
    if (key === null) {
      this.#raise(KEYSPACE, after(v), {})
      return
    }
    tombstones.set(key, v)
    this.#redis.view = { ...this.#redis.view!, newest: v }
    const cell = cells.get(key)
    if (cell && !covers(cell.label.low, v)) cells.set(key, { ...cell, state: 'stale' })
  }

  #raise(keyspace: string, floor: Position, change: Partial<View>): void {
    const view = this.#redis.view!
    this.#redis.view = { ...view, ...change, floors: { ...view.floors, [keyspace]: floor } }
  }

  /** From a replica that lacks the last `lag` commits. */
  #fill(key: string, lag: number): void {
    const { view, tombstones, cells } = this.#redis
    if (view === null || view.gap !== undefined) return
    const seen = Math.max(0, this.#commits.length - lag)
    const label = { low: this.#cut(seen), high: this.here }
    const tombstone = tombstones.get(key)
    if (label.low < maxPosition(floorOf(view, KEYSPACE), tombstone ? after(tombstone) : ORIGIN)) return
    const payload = encodePayload({ body: Buffer.from(String(seen)), storedAt: this.now })
    cells.set(key, { state: 'live', label, loadedAt: null, payload })
  }

  #tell(from: string, keys: readonly string[], floorsRose: boolean): void {
    const { offset: next, epoch, watermark, newest, beat, gap, floors } = this.#redis.view!
    const message = { from, next, epoch, watermark, newest, beat, gap, keys, ...(floorsRose && { floors }) }
    this.subscriber.tell(JSON.stringify(message))
  }

  /** Before the commit of this number; the epoch is that of the server which shows the cut. */
  #cut(commits: number): Position {
    const next = this.#commits[commits]
    return next ? (next.version as string as Position) : position(this.#epoch, this.#lsn(commits))
  }

  #lsn(commits: number): bigint {
    return 100n + BigInt(commits) * RECORD_BYTES
  }
}

/** A connection that hands on one message at a time, loses one, or breaks with all that is under way. */
class Subscriber implements FeedSubscriber {
  readonly #listeners = new Map<string, Listener>()
  #channel = ''
  #underWay: string[] = []

  async subscribe(channel: string): Promise<void> {
    this.#channel = channel
  }

  async unsubscribe(): Promise<void> {
    this.#channel = ''
  }

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, listener)
  }

  off(event: string): void {
    this.#listeners.delete(event)
  }

  tell(message: string): void {
    this.#underWay.push(message)
  }

  deliver(): void {
    const message = this.#underWay.shift()
    if (message !== undefined) this.#listeners.get('message')?.(this.#channel, message)
  }

  lose(): void {
    this.#underWay.shift()
  }

  breakOff(): void {
    this.#underWay = []
    this.#listeners.get('close')?.()
    this.#listeners.get('ready')?.()
  }
}

function emptyRedis(): RedisState {
  return { view: null, tombstones: new Map(), cells: new Map() }
}

/** What is in the maps, and the view, is replaced and never changed. */
function copyOf({ view, tombstones, cells }: RedisState): RedisState {
  return { view, tombstones: new Map(tombstones), cells: new Map(cells) }
}

function keyOf(which: number): string {
  return KEYS[which % KEYS.length]!
}

function hex(n: number, digits: number): string {
  return n.toString(16).padStart(digits, '0')
}
