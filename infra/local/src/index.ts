export { type Certificate, CertificateAuthority, type ServerCertificateOptions } from './certificates.ts'
export { Child, type ChildSpec, type Exit } from './child.ts'
export { dropDatabase } from './database.ts'
export { type LocalServerCode, LocalServerError } from './errors.ts'
export {
  type GivenServers,
  givenServers,
  localServers,
  REGIONS,
  type ServerUrls,
  serverEnvironment,
} from './given-servers.ts'
export { type KafkaOptions, KafkaServer } from './kafka.ts'
export { KafkaCluster, type KafkaClusterOptions } from './kafka-cluster.ts'
export { KAFKA_VERSION, type KafkaSettings, type KafkaUsers } from './kafka-files.ts'
export { KAFKA_AUTHORIZER, type KafkaListener, type KafkaListeners } from './kafka-listeners.ts'
export { freePort } from './ports.ts'
export { type PostgresOptions, PostgresServer, type ReplicaOptions } from './postgres.ts'
export type { PostgresSettings } from './postgres-data.ts'
export { type RedisOptions, RedisServer, type RedisSettings } from './redis.ts'
export { RedisCluster, type RedisClusterOptions, type SlotMove } from './redis-cluster.ts'
export { RedisSentinel, type SentinelOptions } from './redis-sentinel.ts'
export { RunFolder } from './run-folder.ts'
export { LocalServers, type StartedServers, type StartServersOptions, startServers } from './servers.ts'
export { type Direction, type Silence, type Slowness, TcpProxy } from './tcp-proxy.ts'
export { type WaitOptions, waitUntil } from './wait.ts'
