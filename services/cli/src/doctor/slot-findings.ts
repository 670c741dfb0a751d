import { quoteLiteral } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import { bytesText, durationText } from '../amount.ts'
import type { SlotFacts } from '../facts/slot-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding, Severity } from './finding.ts'

/** From where on something that may pass by itself is worth a line. */
export interface Patience {
  /** An open transaction. */
  readonly transactionMs: number
  /** A slot that nobody uses. */
  readonly unusedSlotMs: number
  /** WAL that such a slot keeps. */
  readonly unusedSlotBytes: number
  /** The part of the WAL budget that is used up. */
  readonly budgetUsed: number
}

export const PATIENCE: Patience = {
  transactionMs: 5 * 60_000,
  unusedSlotMs: 10 * 60_000,
  unusedSlotBytes: 1024 ** 3,
  budgetUsed: 0.5,
}

function finding(severity: Severity, check: string, what: string, breaks: string, mend: string): Finding {
  return { severity, check, where: 'source', what, breaks, mend }
}

/** The source's slot, what holds it back, and slots that are nobody's. */
export function slotFindings(source: Source, facts: SourceFacts, patience: Patience): Finding[] {
  if (facts.server.inRecovery) return []
  const own = facts.slots.find((slot) => slot.name === source.slot)
  const others = facts.slots.filter((slot) => slot !== own)
  return [
    ...(own ? ownFindings(source, own, facts, patience) : missing(source, facts)),
    ...standbyList(facts, own),
    ...transactionFindings(facts, patience),
    ...others.flatMap((slot) => unusedFindings(slot, facts, patience)),
  ]
}

/** Before the first epoch it is due: the publisher makes both. */
function missing({ slot }: Source, { epoch }: SourceFacts): Finding[] {
  if (typeof epoch !== 'object') return []
  return [
    finding(
      'error',
      'slot-missing',
      `there is no slot ${slot}`,
      'nothing is published, and what changes meanwhile is lost: the publisher opens a new epoch, and all is refilled once',
      'Start the publisher: it makes the slot. Find out who dropped it',
    ),
  ]
}

function ownFindings(source: Source, slot: SlotFacts, { server }: SourceFacts, patience: Patience): Finding[] {
  if (slot.plugin !== 'pgoutput' || slot.database !== server.database || slot.isTemporary) return [foreign(slot)]
  if (slot.invalidation !== null || slot.walStatus === 'lost') return [lost(slot)]
  const found: Finding[] = []
  if (slot.walStatus === 'unreserved') found.push(unreserved(slot))
  else found.push(...budget(slot, patience))
  if (slot.activePid === null) found.push(inactive(source, slot, server.settings.idle_replication_slot_timeout))
  return found
}

function foreign(slot: SlotFacts): Finding {
  const what = slot.type === 'physical' ? 'physical' : `of plugin ${slot.plugin} in database ${slot.database}`
  return finding(
    'error',
    'slot-foreign',
    `slot ${slot.name} is ${slot.isTemporary ? 'temporary, ' : ''}${what}`,
    'the publisher refuses to start: the slot is somebody else’s',
    `If it is nobody’s: SELECT pg_drop_replication_slot(${quoteLiteral(slot.name)}); else give the source another slot`,
  )
}

function lost(slot: SlotFacts): Finding {
  return finding(
    'error',
    'slot-lost',
    `slot ${slot.name} is lost${slot.invalidation ? ` (${slot.invalidation})` : ''}`,
    'changes since then were not published; at its next start the publisher makes the slot anew and opens an epoch: ' +
      'every cached value is refilled once',
    'Start the publisher. To survive a longer outage without, raise max_slot_wal_keep_size',
  )
}

function unreserved(slot: SlotFacts): Finding {
  return finding(
    'error',
    'slot-unreserved',
    `slot ${slot.name} is past max_slot_wal_keep_size: the next checkpoint removes what it needs`,
    'the slot is lost then, and every cached value is refilled once',
    "Raise it now: ALTER SYSTEM SET max_slot_wal_keep_size = '…'; SELECT pg_reload_conf(); then see why it is behind",
  )
}

function budget({ name, retainedBytes, safeBytes }: SlotFacts, patience: Patience): Finding[] {
  if (safeBytes === null || retainedBytes === null) return []
  const used = retainedBytes / (retainedBytes + safeBytes)
  if (used < patience.budgetUsed) return []
  return [
    finding(
      'warning',
      'slot-behind',
      `slot ${name} keeps ${bytesText(retainedBytes)} of WAL; after ${bytesText(safeBytes)} more it is lost`,
      'every cached value is refilled once when it is',
      'See why it is behind: the publisher, Kafka, or a long transaction; or raise max_slot_wal_keep_size',
    ),
  ]
}

function inactive({ name }: Source, slot: SlotFacts, idleTimeout = '0'): Finding {
  const since = slot.inactiveMs === null ? '' : ` for ${durationText(slot.inactiveMs)}`
  const end = idleTimeout === '0' ? '' : `; after ${idleTimeout} s (idle_replication_slot_timeout) it is invalidated`
  return finding(
    'warning',
    'slot-inactive',
    `nobody has streamed from slot ${slot.name}${since}`,
    `watermarks stand still and the server keeps WAL${end}`,
    `Start the publisher of ${name}. If the source is given up: SELECT pg_drop_replication_slot(${quoteLiteral(slot.name)})`,
  )
}

/** From 17 on a failover slot's stream waits for the physical slots of this list. */
function standbyList({ server, slots }: SourceFacts, own: SlotFacts | undefined): Finding[] {
  if (!own?.failover) return []
  const names = (server.settings.synchronized_standby_slots ?? '').split(',').map((n) => n.trim().replaceAll('"', ''))
  return names.filter(Boolean).flatMap((name) => {
    const slot = slots.find((s) => s.name === name)
    const what = slot === undefined ? 'which does not exist' : slot.type === 'logical' ? 'a logical slot' : undefined
    const away = slot?.activePid === null ? 'whose standby is away' : undefined
    if (what === undefined && away === undefined) return []
    return [
      finding(
        'error',
        'synchronized-standby-slots',
        `synchronized_standby_slots names ${name}, ${what ?? away}`,
        'the publisher’s stream waits for it: nothing is published',
        'ALTER SYSTEM SET synchronized_standby_slots = the physical slots of standbys that run; SELECT pg_reload_conf()',
      ),
    ]
  })
}

function transactionFindings({ transactions }: SourceFacts, patience: Patience): Finding[] {
  const long = transactions.filter(({ ageMs }) => ageMs >= patience.transactionMs)
  return long.map(({ who, isPrepared, ageMs, end }) =>
    finding(
      'warning',
      isPrepared ? 'prepared-transaction' : 'long-transaction',
      `${who} has been open for ${durationText(ageMs)}`,
      'the slot keeps WAL from its beginning on, and no slot can be made, nor epoch be announced, before it ends',
      isPrepared ? `${end}, or COMMIT PREPARED, as its coordinator says` : `${end}, if nobody waits for it`,
    ),
  )
}

/** Of a slot that is not the source's: nobody streams from it, and it keeps WAL that the disk must hold. */
function unusedFindings(slot: SlotFacts, { server }: SourceFacts, patience: Patience): Finding[] {
  const { retainedBytes, activePid, inactiveMs } = slot
  if (activePid !== null || slot.isTemporary || retainedBytes === null) return []
  const isOfThisDatabase = slot.database === server.database && (inactiveMs ?? Infinity) >= patience.unusedSlotMs
  if (!isOfThisDatabase && retainedBytes < patience.unusedSlotBytes) return []
  return [
    finding(
      'warning',
      'slot-unused',
      `nobody streams from slot ${slot.name}, which keeps ${bytesText(retainedBytes)} of WAL`,
      'the disk fills, and old rows of the catalog are not cleaned up',
      `If it is nobody’s: SELECT pg_drop_replication_slot(${quoteLiteral(slot.name)})`,
    ),
  ]
}
