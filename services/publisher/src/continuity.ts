import type { Epoch, OpenEpoch, SlotState } from '@tidemark/postgres'
import { type Lsn, position } from '@tidemark/protocol'
import type { LastPublished } from './last-published.ts'

/** What is known at a start, from the epoch table, the slot and the server. */
export interface StartFacts {
  readonly newest: Epoch | undefined
  readonly slot: SlotState | undefined
  readonly slotName: string
  readonly systemIdentifier: bigint
  readonly timeline: number
  readonly shape: string
  /** What this process confirmed to the slot last, if it streamed from it before. */
  readonly confirmedByUs: Lsn | undefined
  /** What Kafka holds last; undefined when this process has published before and so knows. */
  readonly published: LastPublished | undefined
  /** Whether Kafka was seen to have lost what it had acknowledged. */
  readonly busLostRecords: boolean
}

export type Continuity =
  | { readonly kind: 'continue'; readonly epoch: OpenEpoch; readonly from: Lsn }
  /** `from` is the kept slot's position; null when the slot is to be made anew. */
  | { readonly kind: 'new-epoch'; readonly reason: string; readonly from: Lsn | null }
  /** The newest epoch was recorded, but its slot was not made, or not told of. */
  | { readonly kind: 'unfinished'; readonly epoch: Epoch }

/**
 * Whether the stream can be shown to continue where it stopped. Anything that speaks against it is a new epoch:
 * the price is that every cached value is refilled once; the price of carrying on wrongly is values that stay stale
 * for good.
 */
export function continuityOf(facts: StartFacts): Continuity {
  const { newest } = facts
  const kept = slotToKeep(facts)
  if (kept.from === undefined) {
    // An unfinished epoch has no records yet: its number can be used, if it is of this history.
    if (newest && newest.start === null && isOfThisHistory(newest, facts)) return { kind: 'unfinished', epoch: newest }
    return { kind: 'new-epoch', reason: kept.reason, from: null }
  }
  const { epoch, from } = kept
  const reason = reasonAgainst(epoch, from, facts)
  return reason === undefined ? { kind: 'continue', epoch, from } : { kind: 'new-epoch', reason, from }
}

type Kept = { readonly from: Lsn; readonly epoch: OpenEpoch } | { readonly from?: undefined; readonly reason: string }

function slotToKeep(facts: StartFacts): Kept {
  const { newest, slot } = facts
  if (!newest) return { reason: 'the source has no epoch yet' }
  if (newest.start === null) return { reason: `the opening of epoch ${newest.number} was cut off` }
  if (!slot) return { reason: 'there is no slot' }
  if (slot.lost) return { reason: 'the slot was lost or invalidated' }
  if (slot.confirmed === null) return { reason: 'the slot has no confirmed position' }
  if (newest.shape === null) return { reason: 'the publication was missing or incomplete' }
  if (newest.slot !== facts.slotName) return { reason: `the slot was ${newest.slot} before` }
  if (newest.shape !== facts.shape) return { reason: 'keys are made in another way than before' }
  return { from: slot.confirmed, epoch: { ...newest, start: newest.start } }
}

function reasonAgainst(newest: OpenEpoch, from: Lsn, facts: StartFacts): string | undefined {
  if (newest.systemIdentifier !== facts.systemIdentifier) return 'the server is another cluster'
  if (newest.timeline !== facts.timeline) return `timeline ${facts.timeline} follows ${newest.timeline}`
  if (from < newest.start) return 'the slot stands before the start of the epoch'
  if (facts.confirmedByUs !== undefined && from > facts.confirmedByUs) return 'somebody else moved the slot'
  if (facts.busLostRecords) return 'Kafka lost records that it had acknowledged'
  return facts.published && reasonInKafka(newest, from, facts.published)
}

function reasonInKafka(newest: OpenEpoch, from: Lsn, published: LastPublished): string | undefined {
  // A database that was restored from a backup has forgotten its later epochs; Kafka has not.
  if (published.highestEpoch > newest.number) return `Kafka holds records of epoch ${published.highestEpoch}`
  // Nothing was confirmed yet, so nothing need have been published.
  if (from === newest.start) return undefined
  const { lowest } = published
  if (lowest !== undefined && lowest >= position(newest.number, from)) return undefined
  return 'Kafka does not hold all that the slot has confirmed'
}

function isOfThisHistory(epoch: Epoch, facts: StartFacts): boolean {
  return (
    epoch.systemIdentifier === facts.systemIdentifier &&
    epoch.timeline === facts.timeline &&
    epoch.slot === facts.slotName &&
    epoch.shape === facts.shape
  )
}
