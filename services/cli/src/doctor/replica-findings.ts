import { quoteIdentifier } from '@tidemark/postgres'
import { durationText } from '../amount.ts'
import type { ReplicaFacts } from '../facts/replica-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding, Severity } from './finding.ts'

const LONG_DELAY_MS = 30_000

type Tell = (severity: Severity, check: string, what: string, breaks: string, mend: string) => Finding

/** @param slotName the source's slot
 *  @param source undefined when the primary did not answer: what needs a comparison is left out */
export function replicaFindings(
  name: string,
  slotName: string,
  facts: ReplicaFacts,
  source: SourceFacts | undefined,
): Finding[] {
  const tell: Tell = (severity, check, what, breaks, mend) => ({
    ...{ severity, check, where: `replica ${name}` },
    ...{ what, breaks, mend },
  })
  const misplaced = placeFinding(tell, facts, source)
  if (misplaced) return [misplaced]
  return [
    ...replayFindings(tell, facts, source),
    ...timelineFindings(tell, facts),
    ...feedbackFindings(tell, facts),
    ...failoverFindings(tell, slotName, facts, source),
  ]
}

function placeFinding(tell: Tell, facts: ReplicaFacts, source: SourceFacts | undefined): Finding | undefined {
  if (source !== undefined && facts.systemIdentifier !== source.server.systemIdentifier) {
    const breaks = 'it holds another database: what is read there is refused, at best'
    return tell('error', 'replica-cluster', 'it is of another cluster than the primary', breaks, 'Mend its URL')
  }
  if (facts.inRecovery) return undefined
  const breaks =
    'it is the primary itself, or was promoted: what a promoted server says of its log repeats lost history'
  return tell('error', 'replica-promoted', 'it is not in recovery', breaks, 'Point the URL at a standby of the primary')
}

function replayFindings(tell: Tell, facts: ReplicaFacts, source: SourceFacts | undefined): Finding[] {
  const found: Finding[] = []
  if (facts.isPaused) {
    const breaks = 'it falls behind: refills go to others, and then to the primary'
    found.push(tell('warning', 'replica-paused', 'replay is paused', breaks, 'SELECT pg_wal_replay_resume()'))
  }
  if (!facts.isReceiving) {
    const breaks = 'it falls behind, or follows an archive: refills of what changed lately go elsewhere'
    const mend = 'See its log: whether it reaches the primary, and whether its slot there is still reserved'
    found.push(tell('warning', 'replica-cut-off', 'it receives nothing from the primary', breaks, mend))
  }
  if (facts.delayMs !== null && facts.delayMs > LONG_DELAY_MS) {
    const breaks = 'refills of what changed meanwhile go to others, and then to the primary'
    const mend = 'See what replay waits for: long queries on the replica, its disk, or recovery_min_apply_delay'
    found.push(tell('warning', 'replica-lag', `it is ${durationText(facts.delayMs)} behind`, breaks, mend))
  }
  const newest = source && typeof source.epoch === 'object' ? source.epoch.number : undefined
  const known = typeof facts.epoch === 'object' ? facts.epoch.number : 0
  if (newest !== undefined && known < newest) {
    const breaks = 'what is loaded there is not cached'
    const mend = 'Wait until it has replayed; and grant the app SELECT on tidemark.epoch, which init --print-sql does'
    found.push(tell('warning', 'replica-epoch', `it does not show epoch ${newest}`, breaks, mend))
  }
  return found
}

/** An app tells by it that its replica follows a promoted server. The control file has the new timeline only later. */
function timelineFindings(tell: Tell, { hidesTimeline, role }: ReplicaFacts): Finding[] {
  if (!hidesTimeline) return []
  const breaks =
    'after a promotion, until its next restart point, a value of the new history may for a moment be cached as one ' +
    'of the old, and then nothing that is loaded there is cached'
  const mend =
    `On the primary: GRANT pg_read_all_stats TO ${quoteIdentifier(role)}\n` +
    'which shows the role the statements of all other sessions, too'
  return [tell('warning', 'replica-timeline', `role ${role} does not see its timeline`, breaks, mend)]
}

function feedbackFindings(tell: Tell, { settings }: ReplicaFacts): Finding[] {
  if (settings.hot_standby_feedback !== 'off') return []
  const breaks = 'loads are cancelled when the primary cleans up rows that they still see, and go to the primary'
  const mend = 'ALTER SYSTEM SET hot_standby_feedback = on; SELECT pg_reload_conf()'
  return [tell('warning', 'replica-feedback', 'hot_standby_feedback is off', breaks, mend)]
}

/** From 17 on a standby can keep a copy of the slot: only then does a promotion continue the epoch's stream. */
function failoverFindings(
  tell: Tell,
  slotName: string,
  { settings, namesDatabase }: ReplicaFacts,
  source: SourceFacts | undefined,
): Finding[] {
  const slot = source?.slots.find(({ name }) => name === slotName)
  if (slot?.failover == null || settings.sync_replication_slots === undefined) return []
  if (!slot.failover) return settings.sync_replication_slots === 'on' ? [notCopied(tell, slotName)] : []
  if (settings.sync_replication_slots !== 'on') {
    const breaks = 'if it is promoted, the slot has to be made anew'
    const mend =
      'To keep a copy: sync_replication_slots = on, hot_standby_feedback = on, primary_slot_name, ' +
      'and a dbname in primary_conninfo; on the primary synchronized_standby_slots names its physical slot'
    return [tell('info', 'failover-slot', `it keeps no copy of slot ${slotName}`, breaks, mend)]
  }
  const lacks = [
    ...(settings.hot_standby_feedback === 'off' ? ['hot_standby_feedback = on'] : []),
    ...(settings.primary_slot_name === '' ? ['primary_slot_name'] : []),
    ...(namesDatabase === false ? ['a dbname in primary_conninfo'] : []),
    ...(source?.server.settings.synchronized_standby_slots === '' ? ['synchronized_standby_slots on the primary'] : []),
  ]
  if (lacks.length === 0) return []
  const what = `sync_replication_slots is on, but it lacks ${lacks.join(', ')}`
  const breaks =
    'the copy of the slot is not kept, or may run ahead of the standby: a promotion cannot continue from it'
  return [tell('warning', 'failover-slot', what, breaks, 'Set what it lacks')]
}

function notCopied(tell: Tell, slotName: string): Finding {
  const breaks = 'the standby keeps no copy of it: if it is promoted, the slot has to be made anew'
  const mend =
    'With the publisher stopped, on a replication connection (psql "… replication=database"):\n' +
    `ALTER_REPLICATION_SLOT ${slotName} (FAILOVER true)`
  return tell('warning', 'failover-slot', `slot ${slotName} is not marked for failover`, breaks, mend)
}
