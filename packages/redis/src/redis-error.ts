import { isNativeError } from 'node:util/types'
import { type ErrorCode, TidemarkError } from '@tidemark/protocol'
import { redactUrls, tlsRefusal } from '@tidemark/service'

interface Traits {
  /** Also says whether waiting helps: that is a property of the code. */
  readonly code: ErrorCode
  readonly mend?: string
  /** Another connection may lead to another server, or ask Sentinel for it. */
  readonly reconnect?: true
}

/** README.md has the table of what the worker does about each. */
const KINDS = {
  /** Redis has forgotten the scripts. The guard answers it by sending the text. */
  'no-script': { code: 'SERVER_UNREACHABLE' },
  'not-master': {
    code: 'REDIS_NOT_MASTER',
    reconnect: true,
    mend: 'If it goes on, name the master, or its Sentinels by redis-sentinel://',
  },
  loading: { code: 'SERVER_UNREACHABLE' },
  full: {
    code: 'REDIS_FULL',
    mend: 'Raise maxmemory, or CONFIG SET maxmemory-policy allkeys-lfu: whatever is evicted, nothing stale is served',
  },
  busy: { code: 'REDIS_BUSY', mend: 'Find the script in SLOWLOG; SCRIPT KILL ends one that has not written yet' },
  unsaved: {
    code: 'REDIS_WRITES_REFUSED',
    mend: 'Mend its disk, or CONFIG SET save "": nothing of Tidemark’s needs to be saved',
  },
  'few-replicas': {
    code: 'REDIS_WRITES_REFUSED',
    mend: 'Bring its replicas back, or lower min-replicas-to-write',
  },
  'slot-moving': {
    code: 'REDIS_SLOT_MOVING',
    mend: 'Let the move end; redis-cli --cluster fix ends one that broke off',
  },
  'cluster-down': { code: 'REDIS_CLUSTER_DOWN', mend: 'Bring back the servers that have its slots' },
  'cross-slot': { code: 'SERVER_REFUSED', mend: 'Report it: all keys of a partition share a hash tag' },
  'is-cluster': { code: 'SERVER_REFUSED', mend: 'It is a cluster: name it by redis-cluster://' },
  'is-no-cluster': { code: 'SERVER_REFUSED', mend: 'It is no cluster: name it by redis://' },
  refused: { code: 'SERVER_REFUSED', mend: 'Mend the user, the password or the ACL: packages/redis/README.md has it' },
  untrusted: { code: 'SERVER_REFUSED' },
  timeout: { code: 'DEADLINE_EXCEEDED' },
  disconnected: { code: 'SERVER_UNREACHABLE' },
  unknown: { code: 'SERVER_UNREACHABLE' },
} as const satisfies Record<string, Traits>

export type RedisErrorKind = keyof typeof KINDS

/** What Redis names its errors by: the first word of the reply. */
const BY_PREFIX: Readonly<Record<string, RedisErrorKind>> = {
  NOSCRIPT: 'no-script',
  READONLY: 'not-master',
  MASTERDOWN: 'not-master',
  LOADING: 'loading',
  OOM: 'full',
  BUSY: 'busy',
  UNKILLABLE: 'busy',
  MISCONF: 'unsaved',
  NOREPLICAS: 'few-replicas',
  MOVED: 'slot-moving',
  ASK: 'slot-moving',
  TRYAGAIN: 'slot-moving',
  CLUSTERDOWN: 'cluster-down',
  CROSSSLOT: 'cross-slot',
  NOAUTH: 'refused',
  WRONGPASS: 'refused',
  NOPERM: 'refused',
}

/** An error of Redis, or of the way to it, told apart by its kind. */
export class RedisError extends TidemarkError {
  readonly kind: RedisErrorKind

  constructor(kind: RedisErrorKind, message: string, options: { mend?: string; cause?: unknown }) {
    super(KINDS[kind].code, message, options)
    this.kind = kind
  }
}

export function isRedisError(error: unknown, kind?: RedisErrorKind): error is RedisError {
  return error instanceof RedisError && (kind === undefined || error.kind === kind)
}

/** Whether another connection may help. */
export function wantsReconnection(error: Error): boolean {
  const traits: Traits = KINDS[kindOf(error)]
  return traits.reconnect === true
}

/** What only the client knows. */
export interface Circumstances {
  /** Why there is no connection: a command itself learns only that there is none. */
  readonly trouble?: unknown
  readonly isCluster: boolean
}

/** What a client threw, with kind and code. */
export function redisError(error: unknown, { trouble, isCluster }: Circumstances): RedisError {
  const told = trouble !== undefined && kindOf(error) === 'disconnected' ? trouble : error
  const kind = kindOf(told)
  // A client of one server does not go where it is sent; a cluster's does, and tells only that it went on for too long.
  return described(kind === 'slot-moving' && !isCluster ? 'is-cluster' : kind, told)
}

function described(kind: RedisErrorKind, cause: unknown): RedisError {
  // It holds the command's arguments: keys, values, and in a login the password.
  if (isNativeError(cause) && 'command' in cause) delete cause.command
  const { mend = tlsRefusal(cause) }: Traits = KINDS[kind]
  const message = isNativeError(cause) ? redactUrls(cause.message) : String(cause)
  return new RedisError(kind, `Redis: ${message}`, { ...(mend && { mend }), cause })
}

export function kindOf(error: unknown): RedisErrorKind {
  if (!isNativeError(error)) return 'unknown'
  if (tlsRefusal(error) !== undefined) return 'untrusted'
  if (error.name === 'ReplyError') return kindOfReply(error.message) ?? 'unknown'
  const last = LAST_ERROR.exec(error.message)?.[1] ?? error.message
  if (TIMEOUT.test(last)) return 'timeout'
  return kindOfReply(last) ?? 'disconnected'
}

/** How ioredis ends a command of a cluster that it redirected too often, or tells that no Sentinel helped. */
const LAST_ERROR = /^(?:Too many Cluster redirections\.|All sentinels are unreachable.*?) Last error: (?:\w+: )?(.*)$/s
/** ioredis has no class for it. */
const TIMEOUT = /^Command timed out/
/** Redis 6.2 wraps the error of a command inside a script; newer ones say it as it is. */
const IN_SCRIPT = /^(?:ERR Error running script \(call to \w+\): @user_script:\d+: )?@user_script: ?\d+: -?/
const ACL_IN_SCRIPT = /^(?:The user executing the script can't|ERR ACL failure in script)/

function kindOfReply(message: string): RedisErrorKind | undefined {
  const reply = message.replace(IN_SCRIPT, '')
  if (ACL_IN_SCRIPT.test(reply)) return 'refused'
  if (/^ERR .*cluster support disabled/.test(reply)) return 'is-no-cluster'
  return BY_PREFIX[/^[A-Z]+/.exec(reply)?.[0] ?? '']
}
