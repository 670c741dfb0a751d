import type { Source } from '@tidemark/protocol'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding, Severity } from './finding.ts'

const WHERE = 'source'

function finding(severity: Severity, check: string, what: string, breaks: string, mend: string): Finding {
  return { severity, check, where: WHERE, what, breaks, mend }
}

/** What the server's settings make impossible, or dangerous. */
export function serverFindings(source: Source, facts: SourceFacts): Finding[] {
  if (facts.server.inRecovery) return [standby()]
  return [...wal(facts), ...capacity(source, facts), ...durability(facts)]
}

function standby(): Finding {
  return finding(
    'error',
    'in-recovery',
    'TIDEMARK_PRIMARY_URL names a standby',
    'the publisher waits until it is promoted: a standby cannot say which commits are visible',
    'Point TIDEMARK_PRIMARY_URL at the primary',
  )
}

function wal({ server: { settings } }: SourceFacts): Finding[] {
  const found: Finding[] = []
  if (settings.wal_level !== 'logical') {
    const mend = 'ALTER SYSTEM SET wal_level = logical, and restart the server'
    found.push(finding('error', 'wal-level', `wal_level is ${settings.wal_level}`, 'nothing can be decoded', mend))
  }
  if (settings.wal_sender_timeout === '0') {
    found.push(
      finding(
        'warning',
        'wal-sender-timeout',
        'wal_sender_timeout is 0',
        'a publisher that vanished without a word keeps the slot: no other one can take over',
        "ALTER SYSTEM SET wal_sender_timeout = '60s'; SELECT pg_reload_conf()",
      ),
    )
  }
  if (settings.max_slot_wal_keep_size === '-1') {
    found.push(
      finding(
        'warning',
        'wal-budget',
        'max_slot_wal_keep_size is -1: a slot may keep WAL without limit',
        'while the publisher is away, WAL fills the disk, and then the primary stops',
        "ALTER SYSTEM SET max_slot_wal_keep_size = '…GB'; SELECT pg_reload_conf()\n" +
          'with what the disk can spare; beyond it the slot is lost, and every cached value is refilled once',
      ),
    )
  }
  return found
}

function capacity(source: Source, { server, slots }: SourceFacts): Finding[] {
  const found: Finding[] = []
  const own = slots.find((slot) => slot.name === source.slot)
  const most = Number(server.settings.max_replication_slots)
  if (slots.length >= most) {
    found.push(
      finding(
        own ? 'warning' : 'error',
        'slots-exhausted',
        `all ${most} replication slots are taken`,
        own ? 'a lost slot is made anew only while nobody else takes its place' : 'the slot cannot be made',
        'Drop slots that nobody uses, or raise max_replication_slots and restart the server',
      ),
    )
  }
  const senders = Number(server.settings.max_wal_senders)
  if (server.senders >= senders) {
    found.push(
      finding(
        own?.activePid ? 'warning' : 'error',
        'senders-exhausted',
        `all ${senders} of max_wal_senders are in use`,
        own?.activePid
          ? 'the publisher may not get its connection back after a restart'
          : 'the publisher cannot stream',
        'Raise max_wal_senders and restart the server',
      ),
    )
  }
  return found
}

function durability({ server: { settings } }: SourceFacts): Finding[] {
  const unsafe = ['fsync', 'full_page_writes'].filter((name) => settings[name] === 'off')
  const found = unsafe.map((name) =>
    finding(
      'info',
      'not-durable',
      `${name} is off`,
      'a crash of the machine may leave a database that is behind what was published, or broken',
      `ALTER SYSTEM SET ${name} = on; SELECT pg_reload_conf()`,
    ),
  )
  if (settings.synchronous_commit !== 'off') return found
  return [
    ...found,
    finding(
      'info',
      'asynchronous-commit',
      'synchronous_commit is off',
      'a crash of the server loses the latest commits, which were not published either: an event follows the flush',
      'Nothing, if that is meant',
    ),
  ]
}
