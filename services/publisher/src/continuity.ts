import type { Epoch, OpenEpoch, SlotState } from '@tidemark/postgres'
import { type Lsn, position } from '@tidemark/protocol'
import type { EpochCause } from '@tidemark/telemetry'
import type { LastPublished } from './last-published.ts'

/** What is known at a start, from the epoch table, the slot and the server. */
export interface StartFacts {
  readonly newest: Epoch | undefined
  readonly slot: SlotState | undefined
  readonly slotName: string
  readonly systemIdentifier: bigint
  readonly timeline: number
  /** How far the server's log is written. */
  readonly insertLsn: Lsn
  readonly shape: string
  readonly published: LastPublished
  /** Whether Kafka will refuse whatever an earlier publisher still sends. */
  readonly shutsOutEarlier: boolean
  /** The slot's position from which the server keeps failing to decode its log. */
  readonly undecodableFrom: Lsn | undefined
  /** Whether Kafka was seen to have lost what it had acknowledged. */
  readonly busLostRecords: boolean
}

/** What speaks against it: for the metric, and for a person. */
interface Doubt {
  readonly cause: EpochCause
  readonly reason: string
}

export type Continuity =
  | { readonly kind: 'continue'; readonly epoch: OpenEpoch; readonly from: Lsn }
  /** `from` is the kept slot's position; null when the slot is to be made anew. */
  | ({ readonly kind: 'new-epoch'; readonly from: Lsn | null } & Doubt)

/**
 * Whether the stream can be shown to continue where it stopped. Anything that speaks against it is a new epoch:
 * the price is that every cached value is refilled once; the price of carrying on wrongly is values that stay stale
 * for good.
 */
export function continuityOf(facts: StartFacts): Continuity {
  const kept = slotToKeep(facts)
  if (kept.from === undefined) return { kind: 'new-epoch', ...kept.doubt, from: null }
  const { epoch, from } = kept
  const doubt = doubtAbout(epoch, from, facts)
  return doubt === undefined ? { kind: 'continue', epoch, from } : { kind: 'new-epoch', ...doubt, from }
}

type Kept = { readonly from: Lsn; readonly epoch: OpenEpoch } | { readonly from?: undefined; readonly doubt: Doubt }

function slotToKeep(facts: StartFacts): Kept {
  const { newest, slot } = facts
  const no = (cause: EpochCause, reason: string) => ({ doubt: { cause, reason } })
  if (!newest) return no('first', 'the source has no epoch yet')
  if (newest.start === null) return no('opening-cut-off', `the opening of epoch ${newest.number} was cut off`)
  if (!slot) return no('slot-missing', 'there is no slot')
  if (slot.lost) return no('slot-lost', 'the slot was lost, invalidated or made to decode in another way')
  if (slot.confirmed === null) return no('slot-lost', 'the slot has no confirmed position')
  if (slot.confirmed === facts.undecodableFrom)
    return no('slot-undecodable', 'the server cannot decode its log from where the slot stands')
  if (newest.shape === null)
    return no('publication', 'the publication was incomplete, or a table not as the stream needs it')
  if (newest.slot !== facts.slotName) return no('slot-renamed', `the slot was ${newest.slot} before`)
  if (newest.shape !== facts.shape)
    return no('keys', 'keys are made in another way than before, or tables are not as they were')
  return { from: slot.confirmed, epoch: { ...newest, start: newest.start } }
}

function doubtAbout(newest: OpenEpoch, from: Lsn, facts: StartFacts): Doubt | undefined {
  const no = (cause: EpochCause, reason: string) => ({ cause, reason })
  if (newest.systemIdentifier !== facts.systemIdentifier) return no('cluster', 'the server is another cluster')
  if (newest.timeline !== facts.timeline) return no('timeline', `timeline ${facts.timeline} follows ${newest.timeline}`)
  if (isBehindPublished(newest, facts)) return no('went-back', 'the server stands before what was published of it')
  if (from < newest.start) return no('slot-moved', 'the slot stands before the start of the epoch')
  const reason = reasonInKafka(newest, from, facts)
  return reason === undefined ? undefined : no('kafka', reason)
}

/**
 * Whether another server has taken the source over. An epoch belongs to the history that opened it: if Kafka holds a
 * later one than the newest here, and that was opened by this very history, then the later one was not. A server that
 * was promoted, restored or made anew has a newest epoch of another history, or none, and opens a later one itself.
 */
export function isAbandoned({ newest, published, ...server }: StartFacts): boolean {
  if (newest === undefined || published.highestEpoch <= newest.number) return false
  return newest.systemIdentifier === server.systemIdentifier && newest.timeline === server.timeline
}

/**
 * Whether the log has lost its end: restored from a copy of its disk, or crashed without fsync. On the same timeline
 * it will write other commits at positions that watermarks have passed.
 */
function isBehindPublished(newest: OpenEpoch, { insertLsn, published: { lowest } }: StartFacts): boolean {
  return lowest !== undefined && lowest > position(newest.number, insertLsn)
}

function reasonInKafka(newest: OpenEpoch, from: Lsn, facts: StartFacts): string | undefined {
  const { published, shutsOutEarlier, busLostRecords } = facts
  if (busLostRecords) return 'Kafka lost records that it had acknowledged'
  if (published.highestEpoch > newest.number) return `Kafka holds records of epoch ${published.highestEpoch}`
  if (!shutsOutEarlier && !published.isNew) return 'Kafka has forgotten who published before, and would not refuse it'
  // Nothing was confirmed yet, so nothing need have been published.
  if (from === newest.start) return undefined
  const { lowest } = published
  if (lowest !== undefined && lowest >= position(newest.number, from)) return undefined
  return 'Kafka does not hold all that the slot has confirmed'
}
