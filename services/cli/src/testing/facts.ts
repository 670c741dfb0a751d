import type { View } from '@tidemark/guard'
import type { Topic, TopicFacts } from '@tidemark/kafka'
import { topicSettings } from '@tidemark/kafka'
import type { TableMistake } from '@tidemark/postgres'
import { defineSource, ORIGIN, parseLsn, position, type Version, version } from '@tidemark/protocol'
import type { PrimaryFacts } from '../facts/primary-facts.ts'
import type { RedisFacts, RedisServerFacts } from '../facts/redis-facts.ts'
import type { ReplicaFacts } from '../facts/replica-facts.ts'
import type { SlotFacts } from '../facts/slot-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'

/** A source that nothing is wrong with, for tests that make one thing wrong. */
export const SHOP = defineSource({
  name: 'shop',
  partitions: 2,
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})

export const NOW_MS = 1_700_000_000_000
const CLUSTER = 7_000_000_000_000_000_001n

export const PRIMARY: PrimaryFacts = {
  version: 180_000,
  inRecovery: false,
  database: 'shop',
  systemIdentifier: CLUSTER,
  timeline: 1,
  senders: 2,
  settings: {
    wal_level: 'logical',
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
    max_wal_senders: '10',
    max_replication_slots: '10',
    wal_sender_timeout: '60000',
    max_slot_wal_keep_size: '4096',
    idle_replication_slot_timeout: '0',
    synchronized_standby_slots: 'eu_west',
  },
}

export const SLOT: SlotFacts = {
  name: 'tidemark_shop',
  type: 'logical',
  plugin: 'pgoutput',
  database: 'shop',
  isTemporary: false,
  activePid: 42,
  application: 'tidemark-publisher',
  walStatus: 'reserved',
  invalidation: null,
  confirmed: '0/2000',
  retainedBytes: 16_384,
  behindBytes: 128,
  safeBytes: 1024 ** 3,
  inactiveMs: null,
  failover: true,
}

export const STANDBY_SLOT: SlotFacts = {
  ...SLOT,
  name: 'eu_west',
  type: 'physical',
  plugin: null,
  database: null,
  failover: false,
}

export const SOURCE: SourceFacts = {
  server: PRIMARY,
  grants: {
    role: 'tidemark_publisher',
    isSuperuser: false,
    mayReplicate: true,
    closedSchemas: [],
    hasEpochTable: true,
    hasInvalidate: true,
    lacksOnEpoch: [],
  },
  publication: [],
  mistakes: [],
  unprojected: [],
  relations: [{ table: 'public.product', kind: 'r', persistence: 'p', leaves: [], heirs: [] }],
  overrides: [],
  slots: [STANDBY_SLOT, SLOT],
  epoch: {
    number: 3,
    systemIdentifier: CLUSTER,
    timeline: 1,
    start: parseLsn('0/1000'),
    slot: 'tidemark_shop',
    shape: '{}',
  },
  transactions: [],
}

export const ABSENT: TableMistake = {
  code: 'TABLE_MISMATCH',
  table: 'public.product',
  what: 'there is no table public.product',
  mend: 'Mend it',
}

export const WEAK: TableMistake = {
  code: 'REPLICA_IDENTITY_INSUFFICIENT',
  table: 'public.product',
  what: 'replica identity nothing of public.product forbids UPDATE and DELETE',
  mend: 'ALTER TABLE public.product REPLICA IDENTITY FULL',
}

export const SEVERAL_ROWS: TableMistake = {
  code: 'KEY_OF_SEVERAL_ROWS',
  table: 'public.product',
  what: 'two rows of public.product may have one key of products',
  mend: 'CREATE UNIQUE INDEX ON public.product (id)',
}

export const TOPIC: Topic = {
  partitions: [0, 1].map((partition) => ({ partition, leader: 1, replicas: 3, inSync: 3, low: 0n, high: 10n })),
  settings: topicSettings(3),
}

export const KAFKA: TopicFacts = { brokers: 3, topic: TOPIC }

export const VIEW: View = {
  epoch: '00000003',
  watermark: position(3, parseLsn('0/2000')),
  newest: version(3, parseLsn('0/1800')) as Version,
  horizon: ORIGIN,
  floors: {},
  offset: '000000000000000a',
  beat: NOW_MS - 100,
  current: 0,
  generations: {},
}

export const REDIS_SERVER: RedisServerFacts = {
  product: 'Redis',
  version: '6.2.11',
  isLoading: false,
  isReplica: false,
  maxMemoryBytes: 1024 ** 3,
  evictionPolicy: 'allkeys-lfu',
  failsToSave: false,
  replicas: 0,
  minReplicasToWrite: 0,
}

export const REDIS: RedisFacts = { servers: [REDIS_SERVER], cluster: undefined, views: [VIEW, VIEW] }

export const REPLICA: ReplicaFacts = {
  inRecovery: true,
  systemIdentifier: CLUSTER,
  replayed: '0/2000',
  delayMs: null,
  isPaused: false,
  isReceiving: true,
  role: 'shop',
  hidesTimeline: false,
  namesDatabase: true,
  settings: {
    hot_standby_feedback: 'on',
    sync_replication_slots: 'on',
    primary_slot_name: 'eu_west',
  },
  epoch: SOURCE.epoch,
}
