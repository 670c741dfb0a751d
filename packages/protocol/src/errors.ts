/**
 * Every error that an operator or an app can act on has a code in this table. The comment above a code is its
 * runbook: what happened, what it means for the data, what to do. Whether trying again can help is a property of
 * the code, never guessed from a message.
 */
const CODES = {
  // ── configuration, at the edge ────────────────────────────────────────────────────────────────────────────
  /** `tidemark.config.ts` has mistakes; all are listed. Nothing was started. Mend each and start again. */
  CONFIG_INVALID: { retriable: false },
  /** An environment variable is missing or malformed; all mistakes are listed. `--help` prints the table. */
  SETTINGS_INVALID: { retriable: false },

  // ── servers ───────────────────────────────────────────────────────────────────────────────────────────────
  /** A server does not answer. Nothing is lost: positions stay where they are and the service tries again. */
  SERVER_UNREACHABLE: { retriable: true },
  /** The server refused the credentials or the role lacks a grant. Mend the URL or the grants. */
  SERVER_REFUSED: { retriable: false },
  /** A request was not answered within its deadline. Taken as failed; whatever it did is idempotent. */
  DEADLINE_EXCEEDED: { retriable: true },

  // ── Postgres as a source ──────────────────────────────────────────────────────────────────────────────────
  /** `wal_level` is not `logical`. Set it in postgresql.conf and restart the server. */
  WAL_LEVEL_NOT_LOGICAL: { retriable: false },
  /** The source URL names a standby: snapshots there say nothing about visibility. Point it at the primary. */
  SOURCE_IN_RECOVERY: { retriable: true },
  /** A table or column that a keyspace names does not exist. Mend `tidemark.config.ts` or the schema. */
  TABLE_MISMATCH: { retriable: false },
  /** A key template needs a column that the table's replica identity does not carry: a DELETE could not be keyed. */
  REPLICA_IDENTITY_INSUFFICIENT: { retriable: false },
  /** A keyspace is updated in place, and two rows of its table may have one key: no unique index lies within the columns
   * of its template, so one row's change would be taken for the whole value. Make the index that the message carries, or
   * let the contract say `reaction: 'invalidate'`. Of a publisher that ran before, every cached value is refilled once. */
  KEY_OF_SEVERAL_ROWS: { retriable: false },
  /** A table that a keyspace needs is not in the publication. The message carries the `ALTER PUBLICATION`. */
  PUBLICATION_INCOMPLETE: { retriable: false },
  /** Another connection streams from the slot: a second publisher, or a dead one that the server still counts. */
  SLOT_ACTIVE: { retriable: true },
  /** The slot's name is taken by a slot of another kind: another plugin, another database, or a physical one. Drop it
   * if it is nobody's, or give the source another slot name. */
  SLOT_MISMATCH: { retriable: false },
  /** The slot was lost or invalidated. The publisher re-creates it and opens a new epoch: every cached value is
   * refilled once. Raise `max_slot_wal_keep_size` if the outage was one that you want to survive without. */
  SLOT_LOST: { retriable: true },
  /** Kafka holds a later epoch of the source than this server, which opened the newest one that it knows: another server
   * has taken over. Nothing was published, and nothing will be, while the publisher looks again now and then. Point the
   * source URL at the server that has taken over, and stop this one. If this server is the right one (it was set back
   * without a recovery, or the other one is to be abandoned), run what the message says: a later epoch is opened. */
  SOURCE_ABANDONED: { retriable: true },
  /** The server fails inside itself (SQLSTATE class XX) as it decodes its log for the slot: damage, or a bug of the
   * server. After three attempts from one position the publisher makes the slot anew and opens a new epoch: every cached
   * value is refilled once. Look into the server's log. */
  SLOT_UNDECODABLE: { retriable: true },
  /** The replication stream ended, went silent, or carried what cannot be parsed. It is opened again. */
  STREAM_BROKEN: { retriable: true },

  // ── Kafka ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** The topic has another number of partitions than the configuration: keys would land in the wrong one. */
  TOPIC_MISMATCH: { retriable: false },
  /** Another publisher has taken the topic: it was promoted, or this process was frozen or cut off for a while. Kafka
   * refused what was sent, so nothing is lost or out of order. It opens again: as a standby, if the source has another
   * publisher. Seen over and over, two databases publish to one topic: give each source a topic of its own. */
  PUBLISHER_FENCED: { retriable: true },
  /** Kafka lost records that it had acknowledged (an unclean election, a topic made anew). The publisher opens a new
   * epoch: every cached value is refilled once. Set `min.insync.replicas`, forbid unclean elections. */
  BUS_LOST_RECORDS: { retriable: true },
  /** A Kafka record cannot be read as a Tidemark record. The worker treats it as a gap: the partition's cached
   * values are refilled, nothing stale is served. Find what else writes to the topic. */
  RECORD_MALFORMED: { retriable: false },
  /** A record of a format that this build does not know. Upgrade the workers before the publisher. */
  RECORD_FORMAT_UNKNOWN: { retriable: false },

  // ── Redis ─────────────────────────────────────────────────────────────────────────────────────────────────
  /** The server is a replica, or was made one: a failover that this client follows within seconds. If it goes on, the URL
   * names a replica: name the master, or better its Sentinels by `redis-sentinel://`. Nothing is lost meanwhile. */
  REDIS_NOT_MASTER: { retriable: true },
  /** Redis has reached `maxmemory`, and its policy evicts nothing that is left. The worker drops the cells of the keys that
   * changed, then old tombstones, and tries again; while that does not help, views grow old and readers see it. Raise
   * `maxmemory`, or set `maxmemory-policy allkeys-lfu`: whatever is evicted, nothing stale is served. */
  REDIS_FULL: { retriable: true },
  /** Redis runs a script, for longer than its `busy-reply-threshold`, and answers nobody else. None of Tidemark's takes so
   * long unless TIDEMARK_MAX_EVENTS_PER_BATCH is high: find it in SLOWLOG. `SCRIPT KILL` ends one that has not written. */
  REDIS_BUSY: { retriable: true },
  /** Redis refuses writes because its last snapshot failed (MISCONF) or because it has too few replicas (NOREPLICAS).
   * Views grow old meanwhile, and readers see it. Nothing of Tidemark's needs to be saved: `CONFIG SET save ""`. */
  REDIS_WRITES_REFUSED: { retriable: true },
  /** A slot of Redis Cluster is on its way from one server to another. Until it has arrived Redis takes no script with
   * several keys: the partition stands still, and its view grows old. End the move; `redis-cli --cluster fix` ends one
   * that broke off. */
  REDIS_SLOT_MOVING: { retriable: true },
  /** Redis Cluster has no server for a slot, or has lost its majority. Bring the servers back; nothing is lost. */
  REDIS_CLUSTER_DOWN: { retriable: true },
  /** A cell or view in Redis cannot be read: something else writes under the key prefix. It is never served. */
  CELL_MALFORMED: { retriable: false },

  // ── the app's side ────────────────────────────────────────────────────────────────────────────────────────
  /** `cache()` was asked for a keyspace that the configuration does not name. */
  KEYSPACE_UNKNOWN: { retriable: false },
  /** The parameters of a read do not fit the keyspace's key template. */
  KEY_PARAMS_INVALID: { retriable: false },
  /** The value could not be shown to be fresh, and the contract says `whenUnprovable: 'fail'`. */
  UNPROVABLE: { retriable: true },
  /** The app's `load` threw. The cause is its error; nothing was cached. */
  LOAD_FAILED: { retriable: true },
  /** The value cannot be serialised, or is larger than the limit. It was not cached. */
  VALUE_UNCACHEABLE: { retriable: false },
  /** A read came after `close()`. Close a Tidemark once the server that reads by it takes no more requests. */
  CLOSED: { retriable: false },
  /** A session token was forged, foreign, malformed or too old. It was not trusted. */
  TOKEN_INVALID: { retriable: false },
} as const

export type ErrorCode = keyof typeof CODES

/** An error with a code. `message` says what and where; `mend`, where there is one, how to mend it. */
export class TidemarkError extends Error {
  override readonly name = 'TidemarkError'
  readonly code: ErrorCode
  readonly mend: string | undefined

  constructor(code: ErrorCode, message: string, options: { mend?: string; cause?: unknown } = {}) {
    const text = options.mend === undefined ? message : `${message}. ${options.mend}`
    super(`${code}: ${text}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.mend = options.mend
  }

  /** Whether the same call may succeed later without anybody mending anything. */
  get retriable(): boolean {
    return CODES[this.code].retriable
  }
}

/** True when `error` is a TidemarkError, of the given code if one is given. */
export function isTidemarkError(error: unknown, code?: ErrorCode): error is TidemarkError {
  return error instanceof TidemarkError && (code === undefined || error.code === code)
}
