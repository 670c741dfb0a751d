/** Builds pgoutput messages by hand, as Postgres' documents lay them out. For tests alone. */

export type ColumnBytes = string | null | 'u!' | Buffer

export const BEGIN_TIME_US = 1_700_000_000_000_000n
const POSTGRES_EPOCH_US = 946_684_800_000_000n

export function begin(commitLsn: bigint, xid: number, timeUs = BEGIN_TIME_US): Buffer {
  return Buffer.concat([Buffer.from('B'), u64(commitLsn), u64(timeUs - POSTGRES_EPOCH_US), u32(xid)])
}

export function commit(commitLsn: bigint, endLsn: bigint): Buffer {
  return Buffer.concat([Buffer.from('C\0'), u64(commitLsn), u64(endLsn), u64(0n)])
}

export interface ColumnSpec {
  readonly name: string
  readonly identity?: boolean
  readonly typeOid?: number
}

export function relation(oid: number, table: string, columns: readonly ColumnSpec[]): Buffer {
  const [schema, name] = table.split('.')
  return Buffer.concat([
    Buffer.from('R'),
    u32(oid),
    Buffer.from(`${schema}\0${name}\0d`),
    u16(columns.length),
    ...columns.flatMap((c) => [
      Buffer.from([c.identity ? 1 : 0]),
      Buffer.from(`${c.name}\0`),
      u32(c.typeOid ?? 23),
      u32(0xffffffff),
    ]),
  ])
}

export function insert(oid: number, next: readonly ColumnBytes[]): Buffer {
  return Buffer.concat([Buffer.from('I'), u32(oid), Buffer.from('N'), tuple(next)])
}

/** @param image K for a key, O for a whole old row */
export function update(
  oid: number,
  next: readonly ColumnBytes[],
  old?: { readonly image: 'K' | 'O'; readonly columns: readonly ColumnBytes[] },
): Buffer {
  const oldBytes = old ? [Buffer.from(old.image), tuple(old.columns)] : []
  return Buffer.concat([Buffer.from('U'), u32(oid), ...oldBytes, Buffer.from('N'), tuple(next)])
}

export function remove(oid: number, image: 'K' | 'O', columns: readonly ColumnBytes[]): Buffer {
  return Buffer.concat([Buffer.from('D'), u32(oid), Buffer.from(image), tuple(columns)])
}

export function truncate(...oids: readonly number[]): Buffer {
  return Buffer.concat([Buffer.from('T'), u32(oids.length), Buffer.from([0]), ...oids.map(u32)])
}

/** A message of `pg_logical_emit_message`. */
export function emitted(prefix: string, content: string | Buffer, transactional = true): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  const head = Buffer.from([transactional ? 1 : 0])
  return Buffer.concat([Buffer.from('M'), head, u64(0n), Buffer.from(`${prefix}\0`), u32(bytes.length), bytes])
}

/** `u!` stands for an unchanged TOASTed value. */
function tuple(columns: readonly ColumnBytes[]): Buffer {
  return Buffer.concat([u16(columns.length), ...columns.map(column)])
}

function column(value: ColumnBytes): Buffer {
  if (value === null) return Buffer.from('n')
  if (value === 'u!') return Buffer.from('u')
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from('t'), u32(bytes.length), bytes])
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt.asIntN(64, value))
  return bytes
}
