import { expect, test } from '@jest/globals'
import type { View } from '@tidemark/guard'
import type { RedisFacts, RedisServerFacts } from '../facts/redis-facts.ts'
import type { ReplicaFacts } from '../facts/replica-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import { NOW_MS, PRIMARY, REDIS, REDIS_SERVER, REPLICA, SHOP, SLOT, SOURCE, VIEW } from '../testing/facts.ts'
import { redisFindings } from './redis-findings.ts'
import { replicaFindings } from './replica-findings.ts'

const ofRedis = (change: Partial<RedisFacts>, epoch: number | undefined = 3) =>
  redisFindings('eu-west', SHOP, { ...REDIS, ...change }, epoch, NOW_MS).map((f) => `${f.severity} ${f.check}`)

const server = (change: Partial<RedisServerFacts>) => ({ servers: [{ ...REDIS_SERVER, ...change }] })
const shards = (count: number) => ({ servers: Array.from({ length: count }, () => REDIS_SERVER) })
const cluster = { isUp: true, slotsUp: 16_384 }

const ofReplica = (change: Partial<ReplicaFacts>, source: SourceFacts | undefined = SOURCE) =>
  replicaFindings('eu-west', SHOP.slot, { ...REPLICA, ...change }, source).map((f) => `${f.severity} ${f.check}`)

const second = (view: Partial<View> | null) => ({ views: [VIEW, view && { ...VIEW, ...view }] })
const settings = (given: Record<string, string>) => ({ settings: { ...REPLICA.settings, ...given } })

/** The shop has two partitions. */
const SLOTS_AND_SHARDS = ['error redis-slots', 'info redis-shards']

test('a healthy region has no finding', () => {
  expect(ofRedis({})).toEqual([])
  expect(ofReplica({})).toEqual([])
})

test.each<[string, Partial<RedisFacts>, string[]]>([
  ['still loading', { ...server({ isLoading: true }), views: undefined }, ['error redis-loading']],
  ['too old a version', server({ version: '6.0.16' }), ['error redis-version']],
  ['a replica', server({ isReplica: true }), ['error redis-replica']],
  ['noeviction', server({ evictionPolicy: 'noeviction' }), ['warning redis-eviction']],
  [
    'volatile-lru with too little memory',
    server({ evictionPolicy: 'volatile-lru', maxMemoryBytes: 2 ** 20 }),
    ['warning redis-eviction'],
  ],
  ['a disk that it cannot write to', server({ failsToSave: true }), ['warning redis-unsaved']],
  ['no need of replicas', server({ replicas: 2 }), ['info redis-min-replicas']],
  ['slots without a server', { ...shards(3), cluster: { isUp: true, slotsUp: 10_922 } }, SLOTS_AND_SHARDS],
  ['a cluster that is down', { cluster: { ...cluster, isUp: false } }, ['error redis-slots']],
  ['no view', second(null), ['warning view-missing']],
  ['a gap', second({ gap: 'offset out of range' }), ['warning view-gap']],
  ['an older epoch', second({ epoch: '00000002' }), ['warning view-epoch']],
  ['an old beat', second({ beat: NOW_MS - 60_000 }), ['warning view-old']],
])('Redis: %s is found', (_, change, expected) => {
  expect(ofRedis(change)).toEqual(expected)
})

test('Redis: policies that lose nothing but cells are not flagged', () => {
  expect(ofRedis(server({ evictionPolicy: 'volatile-lru' }))).toEqual([])
  expect(ofRedis(server({ evictionPolicy: 'noeviction', maxMemoryBytes: 0 }))).toEqual([])
})

test('Redis: a newer version, a Valkey and a server that wants a replica before it writes are not flagged', () => {
  expect(ofRedis(server({ version: '10.0.1' }))).toEqual([])
  expect(ofRedis(server({ product: 'Valkey', version: '8.0.1' }))).toEqual([])
  expect(ofRedis(server({ replicas: 2, minReplicasToWrite: 1 }))).toEqual([])
  expect(ofRedis(server({ replicas: 2, minReplicasToWrite: undefined }))).toEqual([])
})

test('Redis: what is wrong with every server of a cluster is told once, and their memory counts together', () => {
  const full = { ...REDIS_SERVER, evictionPolicy: 'volatile-lru', maxMemoryBytes: 64 * 2 ** 20 }
  expect(ofRedis({ servers: [full] })).toEqual(['warning redis-eviction'])
  expect(ofRedis({ servers: [full, full], cluster })).toEqual([])
  const stuck = { ...REDIS_SERVER, evictionPolicy: 'noeviction' }
  expect(ofRedis({ servers: [stuck, stuck], cluster })).toEqual(['warning redis-eviction'])
})

test.each<[string, Partial<ReplicaFacts>, string[]]>([
  ['another cluster', { systemIdentifier: 1n }, ['error replica-cluster']],
  ['a primary', { inRecovery: false }, ['error replica-promoted']],
  ['no connection to the primary', { isReceiving: false }, ['warning replica-cut-off']],
  ['a timeline that the role does not see', { hidesTimeline: true }, ['warning replica-timeline']],
  ['paused replay', { isPaused: true }, ['warning replica-paused']],
  ['a long delay', { delayMs: 45_000 }, ['warning replica-lag']],
  ['an epoch that has not arrived', { epoch: undefined }, ['warning replica-epoch']],
  [
    'no feedback',
    settings({ hot_standby_feedback: 'off', sync_replication_slots: 'off' }),
    ['warning replica-feedback', 'info failover-slot'],
  ],
  ['no copy of the slot', settings({ sync_replication_slots: 'off' }), ['info failover-slot']],
  ['a copy without the slot of the standby', settings({ primary_slot_name: '' }), ['warning failover-slot']],
  ['a copy without a database to connect to', { namesDatabase: false }, ['warning failover-slot']],
])('replica: %s is found', (_, change, expected) => {
  expect(ofReplica(change)).toEqual(expected)
})

test('a copy of the slot that may run ahead of the standby is found', () => {
  const server = { ...PRIMARY, settings: { ...PRIMARY.settings, synchronized_standby_slots: '' } }
  expect(ofReplica({}, { ...SOURCE, server })).toEqual(['warning failover-slot'])
})

test('a slot that standbys would copy, but that is not marked for it, is found', () => {
  const unmarked = { ...SOURCE, slots: [{ ...SLOT, failover: false }] }
  expect(ofReplica({}, unmarked)).toEqual(['warning failover-slot'])
  expect(ofReplica(settings({ sync_replication_slots: 'off' }), unmarked)).toEqual([])
})

test('before 17, and where the role may not see settings, nothing is said of failover slots', () => {
  const former = { ...SOURCE, slots: [{ ...SLOT, failover: null }] }
  expect(ofReplica(settings({ sync_replication_slots: 'off' }), former)).toEqual([])
  expect(ofReplica({ namesDatabase: null })).toEqual([])
})

test('a replica is judged by itself where the primary does not answer', () => {
  expect(replicaFindings('eu-west', SHOP.slot, { ...REPLICA, systemIdentifier: 1n }, undefined)).toEqual([])
})
