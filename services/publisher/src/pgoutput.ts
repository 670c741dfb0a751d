import type { Lsn } from '@tidemark/protocol'

/**
 * A parser of Postgres' logical replication messages, protocol version 1
 * (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html).
 *
 * It never throws: it runs inside a socket callback, outside every promise. What it does not know is `unknown`, to
 * be counted and skipped (Postgres 18 sends STREAM ABORT to protocol-1 clients unasked); what it knows but cannot
 * read is `malformed`, to break the stream. No column is turned into a string before somebody asks for it.
 */
export type Message =
  | { readonly kind: 'begin'; readonly commitLsn: Lsn; readonly timeUs: bigint; readonly xid: number }
  | { readonly kind: 'commit'; readonly commitLsn: Lsn; readonly endLsn: Lsn }
  | Relation
  | Insert
  | Update
  | Delete
  | { readonly kind: 'truncate'; readonly relations: readonly number[] }
  | EmittedMessage
  | { readonly kind: 'ignored' }
  | { readonly kind: 'unknown'; readonly tag: number }
  | { readonly kind: 'malformed'; readonly tag: number; readonly reason: string }

export interface Relation {
  readonly kind: 'relation'
  readonly oid: number
  readonly schema: string
  readonly table: string
  readonly columns: readonly RelationColumn[]
}

export interface RelationColumn {
  readonly name: string
  readonly typeOid: number
  readonly typeModifier: number
  /** Whether the replica identity carries the column: only then does an old image hold its value. */
  readonly identity: boolean
}

interface RowMessage {
  readonly relation: number
}
export interface Insert extends RowMessage {
  readonly kind: 'insert'
  readonly next: Row
}
export interface Update extends RowMessage {
  readonly kind: 'update'
  /** The old image: absent when the replica identity did not change (and is not FULL). */
  readonly old: Row | undefined
  readonly next: Row
}
export interface Delete extends RowMessage {
  readonly kind: 'delete'
  readonly old: Row
}
export type RowChange = Insert | Update | Delete

/** What somebody gave to `pg_logical_emit_message`. */
export interface EmittedMessage {
  readonly kind: 'message'
  /** Otherwise it is in the stream whether its transaction commits or not, and outside of any. */
  readonly transactional: boolean
  readonly prefix: string
  /** A part of the socket's buffer, as a row's bytes are. */
  readonly content: Buffer
}

/** A TOASTed column that the change did not touch: its value is not in the message. It is not null. */
export const UNCHANGED: unique symbol = Symbol('unchanged TOAST')

const TAG = {
  begin: 0x42,
  commit: 0x43,
  origin: 0x4f,
  relation: 0x52,
  type: 0x59,
  insert: 0x49,
  update: 0x55,
  delete: 0x44,
  truncate: 0x54,
  message: 0x4d,
} as const
const NEW_ROW = 0x4e
const OLD_ROW = 0x4f
const OLD_KEY = 0x4b
const NULL_VALUE = 0x6e
const UNCHANGED_VALUE = 0x75
const TEXT_VALUE = 0x74
const POSTGRES_EPOCH_US = 946_684_800_000_000n
const IDENTITY_FLAG = 1
const TRANSACTIONAL_FLAG = 1

/**
 * A row as the bytes it came in. The bytes are the socket's buffer, which is used again: read what is needed before
 * the callback returns.
 */
export class Row {
  readonly #bytes: Buffer
  readonly #offsets: readonly number[]

  /** @param offsets where each column's kind byte is; the parser has checked that all of them lie within `bytes` */
  constructor(bytes: Buffer, offsets: readonly number[]) {
    this.#bytes = bytes
    this.#offsets = offsets
  }

  get columns(): number {
    return this.#offsets.length
  }

  /** The column in Postgres' text form, null, or UNCHANGED; undefined when the row has no such column. */
  text(column: number): string | null | typeof UNCHANGED | undefined {
    const at = this.#offsets[column]
    if (at === undefined) return undefined
    const kind = this.#bytes[at]
    if (kind === NULL_VALUE) return null
    if (kind === UNCHANGED_VALUE) return UNCHANGED
    const length = this.#bytes.readInt32BE(at + 1)
    return this.#bytes.toString('utf8', at + 5, at + 5 + length)
  }
}

/** Parses one message. Never throws; see {@link Message}. */
export function parseMessage(bytes: Buffer): Message {
  const tag = bytes[0] ?? 0
  try {
    const reader = new Reader(bytes)
    const message = parse(reader, tag)
    // A known message that is longer than we know carries something that we would lose.
    if (message.kind !== 'ignored' && message.kind !== 'unknown' && !reader.atEnd)
      return malformed(tag, 'bytes left over')
    return message
  } catch (error) {
    return malformed(tag, error instanceof Error ? error.message : String(error))
  }
}

function malformed(tag: number, reason: string): Message {
  return { kind: 'malformed', tag, reason }
}

function parse(reader: Reader, tag: number): Message {
  reader.skip(1)
  switch (tag) {
    case TAG.begin:
      return {
        kind: 'begin',
        commitLsn: reader.uint64(),
        timeUs: reader.int64() + POSTGRES_EPOCH_US,
        xid: reader.uint32(),
      }
    case TAG.commit: {
      reader.skip(1)
      const commit: Message = { kind: 'commit', commitLsn: reader.uint64(), endLsn: reader.uint64() }
      reader.skip(8)
      return commit
    }
    case TAG.relation:
      return parseRelation(reader)
    case TAG.insert: {
      const relation = reader.uint32()
      reader.expect(NEW_ROW)
      return { kind: 'insert', relation, next: reader.row() }
    }
    case TAG.update:
      return parseUpdate(reader)
    case TAG.delete: {
      const relation = reader.uint32()
      reader.expect(OLD_KEY, OLD_ROW)
      return { kind: 'delete', relation, old: reader.row() }
    }
    case TAG.truncate: {
      const count = reader.uint32()
      reader.skip(1)
      return { kind: 'truncate', relations: Array.from({ length: reader.bounded(count, 4) }, () => reader.uint32()) }
    }
    case TAG.message:
      return parseEmittedMessage(reader)
    case TAG.origin:
    case TAG.type:
      return { kind: 'ignored' }
    default:
      return { kind: 'unknown', tag }
  }
}

function parseRelation(reader: Reader): Relation {
  const oid = reader.uint32()
  const schema = reader.cString() || 'pg_catalog'
  const table = reader.cString()
  reader.skip(1) // the replica identity's kind: the columns' flags say what matters of it
  const columns = Array.from({ length: reader.bounded(reader.uint16(), 10) }, (): RelationColumn => {
    const identity = (reader.uint8() & IDENTITY_FLAG) !== 0
    return { name: reader.cString(), typeOid: reader.uint32(), typeModifier: reader.int32(), identity }
  })
  return { kind: 'relation', oid, schema, table, columns }
}

function parseUpdate(reader: Reader): Update {
  const relation = reader.uint32()
  const image = reader.expect(OLD_KEY, OLD_ROW, NEW_ROW)
  if (image === NEW_ROW) return { kind: 'update', relation, old: undefined, next: reader.row() }
  const old = reader.row()
  reader.expect(NEW_ROW)
  return { kind: 'update', relation, old, next: reader.row() }
}

function parseEmittedMessage(reader: Reader): EmittedMessage {
  const transactional = (reader.uint8() & TRANSACTIONAL_FLAG) !== 0
  reader.skip(8) // its own LSN: a message's version is that of its commit
  const prefix = reader.cString()
  return { kind: 'message', transactional, prefix, content: reader.bytes(reader.int32()) }
}

/** Reads big-endian fields; throws a RangeError at the end of the bytes, which `parseMessage` turns into a message. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  skip(bytes: number): number {
    const at = this.#at
    if (bytes < 0 || at + bytes > this.#bytes.length) throw new RangeError(`truncated at byte ${at}`)
    this.#at = at + bytes
    return at
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.skip(1))
  }
  uint16(): number {
    return this.#bytes.readUInt16BE(this.skip(2))
  }
  uint32(): number {
    return this.#bytes.readUInt32BE(this.skip(4))
  }
  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4))
  }
  uint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.skip(8))
  }
  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.skip(8))
  }

  cString(): string {
    const end = this.#bytes.indexOf(0, this.#at)
    if (end < 0) throw new RangeError('a string without an end')
    const text = this.#bytes.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  /** Without a copy. */
  bytes(length: number): Buffer {
    const at = this.skip(length)
    return this.#bytes.subarray(at, at + length)
  }

  expect(...tags: readonly number[]): number {
    const tag = this.uint8()
    if (!tags.includes(tag)) throw new RangeError(`unexpected image ${tag}`)
    return tag
  }

  /** `count` if that many items of at least `itemBytes` can still be there: no allocation on a garbled count. */
  bounded(count: number, itemBytes: number): number {
    if (count * itemBytes > this.#bytes.length - this.#at) throw new RangeError(`${count} items do not fit`)
    return count
  }

  row(): Row {
    const columns = this.bounded(this.uint16(), 1)
    const offsets = new Array<number>(columns)
    for (let i = 0; i < columns; i++) {
      offsets[i] = this.#at
      const kind = this.uint8()
      if (kind === NULL_VALUE || kind === UNCHANGED_VALUE) continue
      // Binary values are never asked for.
      if (kind !== TEXT_VALUE) throw new RangeError(`unexpected column kind ${kind}`)
      this.skip(this.int32())
    }
    return new Row(this.#bytes, offsets)
  }
}
