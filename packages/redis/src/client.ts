import type { ConnectionOptions } from 'node:tls'
import type { TlsPems } from '@tidemark/service'
import { Cluster, type Command, Redis, type RedisOptions } from 'ioredis'
import type { RedisEndpoint } from './endpoint.ts'
import { wantsReconnection } from './redis-error.ts'
import type { RedisConnection } from './settings.ts'

export interface RedisClientOptions {
  /** How the connections are called in CLIENT LIST. */
  readonly clientName: string
  /** Longest time for one command, with everything that a cluster's client does meanwhile. */
  readonly commandTimeoutMs: number
  /**
   * True for what asks once and ends: a command waits for the connection, which is tried once. A service's commands
   * fail at once while there is none, and the client goes on connecting.
   */
  readonly once?: boolean
}

export type RedisClient = Redis | Cluster

const CONNECT_TIMEOUT_MS = 2_000
/** How long the end of a connection may take: a server that is frozen never says goodbye. */
const DISCONNECT_TIMEOUT_MS = 500
const LOADING_LOOK_MS = 500
const MAX_RECONNECT_DELAY_MS = 1_000
/** One MOVED and one ASK are every day's; the rest is for a failover, where a round costs two or three. */
const MAX_REDIRECTIONS = 8
const RETRY_DELAY_MS = 50

/**
 * A client whose every command ends, one way or the other, within `commandTimeoutMs`. Nothing is queued while there is
 * no connection, and nothing is sent again by itself: the answer to the next apply tells where this Redis stands, and a
 * command that waited through a failover would know nothing of it.
 */
export function redisClient(connection: RedisConnection, options: RedisClientOptions): RedisClient {
  const { endpoint, tls } = connection
  switch (endpoint.kind) {
    case 'server':
      return new Redis({ ...serverOptions(endpoint, tls, options), ...endpoint.node, db: endpoint.database })
    case 'sentinel':
      return new Redis({
        ...serverOptions(endpoint, tls, options),
        ...sentinelOptions(endpoint, connection, options),
        db: endpoint.database,
      })
    case 'cluster':
      return clusterClient(endpoint, tls, options)
  }
}

/** Of a client of one server, and of Sentinels. */
function serverOptions(endpoint: RedisEndpoint, pems: TlsPems | undefined, options: RedisClientOptions) {
  const { once = false } = options
  return {
    ...connectionOptions(endpoint, pems, options),
    enableOfflineQueue: once,
    retryStrategy: once ? () => null : reconnectDelayMs,
  }
}

/** Of one connection, those of a cluster included. */
function connectionOptions(endpoint: RedisEndpoint, pems: TlsPems | undefined, options: RedisClientOptions) {
  const { clientName, commandTimeoutMs } = options
  return {
    connectionName: clientName,
    ...(endpoint.username !== undefined && { username: endpoint.username }),
    ...(endpoint.password !== undefined && { password: endpoint.password }),
    ...(endpoint.tls && { tls: secureOptions(pems) }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    commandTimeout: commandTimeoutMs,
    // Alone this tells a half-open connection from a slow command, and makes a new one.
    socketTimeout: Math.max(2 * commandTimeoutMs, CONNECT_TIMEOUT_MS),
    // With 0 all that was sent fails with its connection, instead of after some more of them.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // It would hold commands back while Redis loads, without saying so: LOADING is an answer.
    enableReadyCheck: false,
    // After a failover the old master answers as a replica for as long as the connection lasts.
    reconnectOnError: wantsReconnection,
  } satisfies RedisOptions
}

function reconnectDelayMs(times: number): number {
  return Math.min(RETRY_DELAY_MS * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS)
}

function secureOptions({ ca, cert, key }: TlsPems = {}): ConnectionOptions {
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    // Said, not left to the default: Node lets an environment variable switch verification off.
    rejectUnauthorized: true,
  }
}

function sentinelOptions(
  { sentinels, name, tls }: RedisEndpoint & { kind: 'sentinel' },
  connection: RedisConnection,
  { commandTimeoutMs, once = false }: RedisClientOptions,
) {
  const { sentinelPassword } = connection
  return {
    sentinels: sentinels.map((node) => ({ ...node })),
    name,
    ...(sentinelPassword !== undefined && { sentinelPassword }),
    ...(tls && { enableTLSForSentinelMode: true, sentinelTLS: secureOptions(connection.tls) }),
    // Without it a Sentinel that is frozen holds the others' answers up for ever.
    sentinelCommandTimeout: commandTimeoutMs,
    sentinelRetryStrategy: once ? () => null : reconnectDelayMs,
    // The role of the server is checked with this alone: a Sentinel that was cut off names the old master.
    enableReadyCheck: true,
    maxLoadingRetryTime: LOADING_LOOK_MS,
    // Follows +switch-master while the old master still answers, which no error would tell. Its own connections to
    // the Sentinels would come back once a minute.
    failoverDetector: !once,
    sentinelReconnectStrategy: reconnectDelayMs,
  }
}

function clusterClient(
  endpoint: RedisEndpoint & { kind: 'cluster' },
  pems: TlsPems | undefined,
  options: RedisClientOptions,
): Cluster {
  return new BoundedCluster(
    endpoint.nodes.map((node) => ({ ...node })),
    {
      redisOptions: connectionOptions(endpoint, pems, options),
      enableOfflineQueue: options.once ?? false,
      // It would close every connection while one slot of all is not covered: CLUSTERDOWN is an answer.
      enableReadyCheck: false,
      // ioredis would connect to addresses, for which certificates are not made out.
      dnsLookup: (host, callback) => callback(null, host),
      slotsRefreshTimeout: options.commandTimeoutMs,
      clusterRetryStrategy: options.once ? () => null : reconnectDelayMs,
      maxRedirections: MAX_REDIRECTIONS,
      retryDelayOnFailover: RETRY_DELAY_MS,
      // Not tried again, so that it is told before the time is over.
      retryDelayOnClusterDown: 0,
      retryDelayOnTryAgain: RETRY_DELAY_MS,
    },
  )
}

/**
 * ioredis bounds what it waits for at one node, and how often it goes on to another, but not a command that it could
 * not yet send to any. A retry that was due may still be sent after the deadline; all our commands may be.
 */
class BoundedCluster extends Cluster {
  override sendCommand(command: Command, ...rest: unknown[]): unknown {
    command.setTimeout(this.options.redisOptions!.commandTimeout!)
    return super.sendCommand(command, ...(rest as []))
  }
}
