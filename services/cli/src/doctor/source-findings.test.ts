import { expect, test } from '@jest/globals'
import type { PrimaryFacts } from '../facts/primary-facts.ts'
import type { RelationFacts } from '../facts/relation-facts.ts'
import type { SlotFacts } from '../facts/slot-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import { ABSENT, PRIMARY, SEVERAL_ROWS, SHOP, SLOT, SOURCE, STANDBY_SLOT, WEAK } from '../testing/facts.ts'
import { sourceFindings } from './doctor.ts'
import { PATIENCE } from './slot-findings.ts'

/** Severity and name of every finding, and what else is said, to look into. */
function found(change: Partial<SourceFacts>) {
  const findings = sourceFindings(SHOP, { ...SOURCE, ...change }, PATIENCE)
  return { checks: findings.map((f) => `${f.severity} ${f.check}`), text: JSON.stringify(findings) }
}

const settings = (given: Record<string, string>) => ({
  server: { ...PRIMARY, settings: { ...PRIMARY.settings, ...given } },
})
const server = (given: Partial<PrimaryFacts>) => ({ server: { ...PRIMARY, ...given } })
const slot = (given: Partial<SlotFacts>) => ({ slots: [STANDBY_SLOT, { ...SLOT, ...given }] })
const grants = (given: Partial<SourceFacts['grants']>) => ({ grants: { ...SOURCE.grants, ...given } })
const relation = (given: Partial<RelationFacts>) => ({ relations: [{ ...SOURCE.relations[0]!, ...given }] })
const epoch = (given: object) => ({ epoch: { ...(SOURCE.epoch as object), ...given } as SourceFacts['epoch'] })
const other = (given: Partial<SlotFacts>) => ({
  slots: [STANDBY_SLOT, SLOT, { ...SLOT, name: 'other', activePid: null, ...given }],
})

test('where nothing is wrong, nothing is found', () => {
  expect(found({}).checks).toEqual([])
})

const MANY = Array.from({ length: 10 }, (_, n) => ({ ...SLOT, name: n === 0 ? SLOT.name : `s${n}`, failover: false }))

test.each<[string, Partial<SourceFacts>, string[], RegExp]>([
  ['wal_level', settings({ wal_level: 'replica' }), ['error wal-level'], /SET wal_level = logical/],
  [
    'no wal_sender_timeout',
    settings({ wal_sender_timeout: '0' }),
    ['warning wal-sender-timeout'],
    /wal_sender_timeout/,
  ],
  ['no WAL budget', settings({ max_slot_wal_keep_size: '-1' }), ['warning wal-budget'], /max_slot_wal_keep_size/],
  ['fsync off', settings({ fsync: 'off' }), ['info not-durable'], /fsync = on/],
  ['asynchronous commits', settings({ synchronous_commit: 'off' }), ['info asynchronous-commit'], /synchronous_commit/],
  ['no free slot', { slots: MANY }, ['warning slots-exhausted'], /max_replication_slots/],
  [
    'no free slot for ours',
    { slots: MANY.map((s, n) => ({ ...s, name: `s${n}` })) },
    ['error slots-exhausted', 'error slot-missing'],
    /cannot be made/,
  ],
  ['no free sender', server({ senders: 10 }), ['warning senders-exhausted'], /max_wal_senders/],
  [
    'a role that may not replicate',
    grants({ mayReplicate: false }),
    ['error role'],
    /ALTER ROLE .*tidemark_publisher.* REPLICATION/,
  ],
  ['a schema that is closed', grants({ closedSchemas: ['public'] }), ['error role'], /GRANT USAGE ON SCHEMA/],
  ['grants on the epochs', grants({ lacksOnEpoch: ['insert'] }), ['error role'], /lacks on tidemark.epoch: insert/],
  ['no publication', { publication: 'missing' }, ['error publication-missing'], /tidemark init/],
  [
    'a publication that lacks a table',
    { publication: [{ what: 'x', mend: 'Run: ALTER' }] },
    ['error publication'],
    /Run: ALTER/,
  ],
  ['a weak replica identity', { mistakes: [WEAK] }, ['error replica-identity'], /keyed/],
  ['keys of several rows', { mistakes: [SEVERAL_ROWS] }, ['error several-rows'], /CREATE UNIQUE INDEX/],
  [
    'a projection of what is not published',
    { unprojected: [{ keyspace: 'product', table: 'public.product', columns: ['name'] }] },
    ['warning projection'],
    /invalidates the value/,
  ],
  ['a table that is not there', { mistakes: [ABSENT] }, ['error tables'], /keyed/],
  ['a view', { ...relation({ kind: 'v' }), mistakes: [ABSENT] }, ['error not-a-table'], /is a view/],
  ['an unlogged table', { ...relation({ persistence: 'u' }), mistakes: [ABSENT] }, ['error not-logged'], /SET LOGGED/],
  ['a temporary table', relation({ persistence: 't' }), ['error not-logged'], /temporary/],
  [
    'an unlogged partition',
    relation({ kind: 'p', leaves: [{ name: 'p1', kind: 'r', persistence: 'u' }] }),
    ['error not-logged'],
    /ALTER TABLE p1 SET LOGGED/,
  ],
  [
    'a foreign partition',
    relation({ kind: 'p', leaves: [{ name: 'p1', kind: 'f', persistence: 'p' }] }),
    ['error foreign-partition'],
    /p1/,
  ],
  ['a table that inherits', relation({ heirs: ['public.old'] }), ['error inheritance'], /NO INHERIT/],
  [
    'session_replication_role of a role',
    { overrides: [{ role: 'etl', database: null, value: 'replica' }] },
    ['warning session-replication-role'],
    /ALTER ROLE .*etl.* RESET session_replication_role/,
  ],
  [
    'session_replication_role of a database',
    { overrides: [{ role: null, database: 'shop', value: 'replica' }] },
    ['warning session-replication-role'],
    /ALTER DATABASE .*shop/,
  ],
  [
    'session_replication_role of all',
    { overrides: [{ role: null, database: null, value: 'replica' }] },
    ['warning session-replication-role'],
    /every session/,
  ],
  ['no slot', { slots: [STANDBY_SLOT] }, ['error slot-missing'], /it makes the slot/],
  [
    'a physical slot of our name',
    slot({ type: 'physical', plugin: null, database: null }),
    ['error slot-foreign'],
    /is physical/,
  ],
  ['a slot of another plugin', slot({ plugin: 'wal2json' }), ['error slot-foreign'], /wal2json/],
  ['a lost slot', slot({ walStatus: 'lost', activePid: null }), ['error slot-lost'], /is lost/],
  ['an invalidated slot', slot({ invalidation: 'idle_timeout', activePid: null }), ['error slot-lost'], /idle_timeout/],
  ['a slot about to be lost', slot({ walStatus: 'unreserved' }), ['error slot-unreserved'], /next checkpoint/],
  ['half of the budget used', slot({ retainedBytes: 2e9, safeBytes: 1e9 }), ['warning slot-behind'], /1\.9 GB/],
  ['nobody streams', slot({ activePid: null, inactiveMs: 9_000_000 }), ['warning slot-inactive'], /for 2\.5 h/],
  [
    'an open transaction',
    { transactions: [{ who: 'process 7', isPrepared: false, ageMs: 400_000, end: 'SELECT x' }] },
    ['warning long-transaction'],
    /process 7/,
  ],
  [
    'a prepared transaction',
    { transactions: [{ who: 'prepared g', isPrepared: true, ageMs: 400_000, end: "ROLLBACK PREPARED 'g'" }] },
    ['warning prepared-transaction'],
    /ROLLBACK PREPARED/,
  ],
  [
    'a slot of this database that nobody uses',
    other({ inactiveMs: 3_600_000 }),
    ['warning slot-unused'],
    /pg_drop_replication_slot/,
  ],
  [
    'a slot elsewhere that keeps much',
    other({ database: 'else', retainedBytes: 2e9 }),
    ['warning slot-unused'],
    /other/,
  ],
  [
    'a standby list with an unknown slot',
    settings({ synchronized_standby_slots: 'gone' }),
    ['error synchronized-standby-slots'],
    /does not exist/,
  ],
  [
    'a standby list with a logical slot',
    settings({ synchronized_standby_slots: 'tidemark_shop' }),
    ['error synchronized-standby-slots'],
    /a logical slot/,
  ],
  [
    'a standby list whose standby is away',
    { slots: [{ ...STANDBY_SLOT, activePid: null }, SLOT] },
    ['error synchronized-standby-slots'],
    /away/,
  ],
  ['no epoch table', { ...grants({ hasEpochTable: false }), epoch: 'no-table' }, ['error schema'], /tidemark init/],
  ['no function', grants({ hasInvalidate: false }), ['error schema'], /tidemark.invalidate/],
  ['no epoch', { epoch: undefined }, ['warning epoch-missing'], /no epoch/],
  ['an epoch being opened', epoch({ start: null }), ['warning epoch-ends'], /cut off/],
  ['an epoch of another timeline', epoch({ timeline: 2 }), ['warning epoch-ends'], /promoted/],
  ['an epoch of another cluster', epoch({ systemIdentifier: 1n }), ['warning epoch-ends'], /another cluster/],
  ['an epoch of another slot', epoch({ slot: 'former' }), ['warning epoch-ends'], /former/],
  ['an epoch that may not go on', epoch({ shape: null }), ['warning epoch-ends'], /incomplete/],
])('%s is found', (_, change, checks, text) => {
  const { checks: actual, text: said } = found(change)
  expect(actual).toEqual(checks)
  expect(said).toMatch(text)
})

test('on a standby nothing else is said than that it is one', () => {
  expect(
    found({ ...server({ inRecovery: true }), publication: 'missing', slots: [], epoch: 'no-table' }).checks,
  ).toEqual(['error in-recovery'])
})

test('before the first epoch only that is said: the slot is due', () => {
  expect(found({ slots: [STANDBY_SLOT], epoch: undefined }).checks).toEqual(['warning epoch-missing'])
})

test('what others do with the server is not flagged', () => {
  expect(found(other({ activePid: 1 })).checks).toEqual([])
  expect(found(other({ inactiveMs: 1_000 })).checks).toEqual([])
  expect(found(other({ database: 'else', inactiveMs: 3_600_000 })).checks).toEqual([])
  expect(found(grants({ isSuperuser: true, mayReplicate: false })).checks).toEqual([])
  expect(found({ transactions: [{ who: 'process 7', isPrepared: false, ageMs: 1_000, end: '' }] }).checks).toEqual([])
  expect(found(settings({ idle_replication_slot_timeout: '3600' })).checks).toEqual([])
  expect(found(slot({ safeBytes: null, retainedBytes: 1e9 })).checks).toEqual([])
})

test('every finding says what breaks and how to mend it', () => {
  const worst = sourceFindings(
    SHOP,
    { ...SOURCE, ...slot({ walStatus: 'lost' }), publication: 'missing', epoch: undefined },
    PATIENCE,
  )
  for (const { breaks, mend, what } of worst)
    for (const text of [breaks, mend, what]) expect(text.length).toBeGreaterThan(3)
})
