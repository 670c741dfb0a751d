/**
 * The state of the protocol's world, as small as it can be: two keys, each in a partition of its own; a primary and one
 * replica; a publisher; a log in Kafka; a region's Redis with a worker; apps that fill it; one session.
 *
 * The entry i of a server's log has the version 2i, and its end is 2i + 2, the version of the next one: `v + 1` is a
 * position that covers v and nothing further. A set of commits is a bit mask of their ids.
 */

export type Position = number
export type Commits = number

/** Above all positions of one epoch. */
const EPOCH = 64
export const KEYS = [0, 1] as const
export type Key = (typeof KEYS)[number]

export const position = (epoch: number, entries: number): Position => epoch * EPOCH + 2 * entries
export const epochOf = (p: Position): number => Math.floor(p / EPOCH)

export const lsnOf = (p: Position): number => p % EPOCH

/** A commit, or the row of an epoch (`keys` is 0 then). */
export interface Entry {
  readonly id: number
  readonly keys: number
  /** Of an epoch's row: its number, and the timeline that it was announced on. */
  readonly epoch: number
  readonly timeline: number
}

export interface Server {
  readonly timeline: number
  readonly log: readonly Entry[]
  /** By place in the log. On a replica: how many it shows, as a mask too. */
  readonly visible: number
  /** What `pg_last_wal_replay_lsn()` says on a replica, in entries: an instant behind what it shows. */
  readonly says: number
}

export type Stored =
  /** `row`: the commits that made the key's row what it is now. */
  | { readonly type: 'event'; readonly at: Position; readonly id: number; readonly row: Commits }
  | { readonly type: 'watermark'; readonly at: Position; readonly beat: Commits }
  | { readonly type: 'floor'; readonly at: Position }

export interface Topic {
  readonly base: number
  readonly records: readonly Stored[]
  /** For the assertions alone: commits whose event, and the highest floor and watermark that was ever sent. */
  readonly sent: Commits
  readonly floor: Position
  readonly told: Position
}

export interface Publisher {
  readonly epoch: number
  /** The highest number of an epoch that was ever recorded, on whichever side. */
  readonly recorded: number
  /** The entry that is published next, and the one from which the slot would stream again. */
  readonly next: number
  readonly confirmed: number
  readonly told: Position
  readonly beat: Commits
  /** It cannot show that its stream continues; or has recorded the next epoch, and not announced it yet. */
  readonly phase: 'streaming' | 'lost' | 'recorded'
}

export interface View {
  readonly epoch: number
  readonly watermark: Position
  readonly newest: Position
  /** A position, as no label may begin below it: as a version it would have to be stepped over. */
  readonly floor: Position
  readonly horizon: Position
  /** The newest invalidation of the partition's key; -1 when the generation that held it is gone and nobody has noticed. */
  readonly tombstone: Position
  readonly gap: boolean
  readonly next: number
  /** In place of a time: the commits that were acknowledged by then. */
  readonly beat: Commits
}

/** A live value. */
export interface Cell {
  readonly low: Position
  readonly high: Position
  readonly value: Commits
  /** In place of a time, as `beat`; 0 from a replica. */
  readonly loadedAt: Commits
}

export interface Lease {
  readonly holder: number
  readonly required: Position
}

export interface Partition {
  readonly view: View | null
  readonly cell: Cell | null
  readonly lease: Lease | null
  /** For the assertions alone: what has been applied here, lost with the rest; and how often that was. */
  readonly applied: Commits
  readonly losses: number
}

export interface Fill {
  readonly key: Key
  /** `promoted`: a replica when the load began. */
  readonly from: 'nobody' | 'replica' | 'primary' | 'abandoned' | 'promoted'
  readonly required: Position
  readonly granted: Position
  /** Of the view before the lease. */
  readonly watermark: Position
  readonly beat: Commits
  /** Who asked, as he was then. */
  readonly session: Session
  readonly step: 'leased' | 'labelled' | 'read' | 'ready'
  readonly low: Position
  readonly high: Position
  readonly value: Commits
  readonly loadedAt: Commits
}

export interface Session {
  readonly own: Position
  readonly seen: Position
  /** For the assertions alone. */
  readonly wrote: Commits
  readonly saw: Commits
}

/** What an app that loaded a value is handed as fresh. */
export interface Handed {
  readonly key: Key
  readonly cell: Cell
  readonly position: Position
  readonly beat: Commits
  readonly session: Session
}

export interface State {
  readonly primary: Server
  readonly replica: Server
  /** Still there after a promotion, and still answers. */
  readonly abandoned: Server | null
  /** The last epoch of its history, and how many entries the promoted one shares with it; 0 without a promotion. */
  readonly abandonedEpoch: number
  readonly shared: number
  readonly acknowledged: Commits
  readonly publisher: Publisher
  readonly topics: readonly [Topic, Topic]
  readonly redis: readonly [Partition, Partition]
  /** What a replica of Redis has, or a snapshot. */
  readonly copy: readonly [Partition, Partition] | null
  readonly fills: readonly (Fill | null)[]
  readonly filled: number
  /** By the step that led here. */
  readonly handed: Handed | null
  readonly session: Session
  readonly commits: number
  readonly faults: number
}
