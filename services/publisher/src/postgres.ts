import type { Socket } from 'node:net'
import { type ErrorCode, isTidemarkError, TidemarkError } from '@tidemark/protocol'
import { withDeadline } from '@tidemark/service'
import { Client } from 'pg'

const CONNECT_TIMEOUT_MS = 5_000

/** What every connection of the publisher has in common, replication included. */
export function connectionConfig(url: string) {
  return {
    connectionString: url,
    application_name: 'tidemark-publisher',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // A peer that vanishes without a word is noticed by the kernel too, where our own watch is not looking.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  } as const
}

/** A connection to the primary. `onLost` hears of its end when no query is there to be told. */
export async function connect(url: string, onLost: (error: TidemarkError) => void): Promise<Client> {
  const client = new Client(connectionConfig(url))
  client.on('error', (error) => onLost(codedError(error, 'the connection to Postgres was lost')))
  try {
    await client.connect()
    return client
  } catch (error) {
    await disconnect(client)
    throw codedError(error, 'Postgres cannot be reached')
  }
}

const GOODBYE_TIMEOUT_MS = 1_000

/**
 * Ends a connection. Its goodbye needs an answer, which a half-open connection never gives: after a moment the socket
 * is destroyed.
 */
export async function disconnect(client: Client): Promise<void> {
  try {
    await withDeadline(client.end(), GOODBYE_TIMEOUT_MS, 'no goodbye from Postgres')
  } catch {
    ;(client as unknown as { connection: { stream: Socket } }).connection.stream.destroy()
  }
}

/** SQLSTATE, or its class, → our code. Whatever is not here is taken for a passing failure of the server. */
const CODE_OF_STATE: readonly (readonly [string, ErrorCode])[] = [
  ['28', 'SERVER_REFUSED'], // invalid authorization
  ['3D000', 'SERVER_REFUSED'], // no such database
  ['42501', 'SERVER_REFUSED'], // insufficient privilege
  ['55006', 'SLOT_ACTIVE'], // object in use
]

/** An error of the driver or the server, as one with a code. */
export function codedError(error: unknown, what: string): TidemarkError {
  if (isTidemarkError(error)) return error
  const state = sqlState(error) ?? ''
  const code = CODE_OF_STATE.find(([prefix]) => state.startsWith(prefix))?.[1] ?? 'SERVER_UNREACHABLE'
  return new TidemarkError(code, `${what}: ${messageOf(error)}`, { cause: error })
}

/** The SQLSTATE of a server's error, undefined for one of the socket or the driver. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

function messageOf(error: unknown): string {
  // Node wraps the refusals of both address families of a host name into one error without a message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/** As an SQL identifier, quoted. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** As an SQL string. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

/** schema.table of a source as a quoted SQL name; the schema is what comes before the first dot. */
export function quoteTable(table: string): string {
  const { schema, name } = splitTable(table)
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

export function splitTable(table: string): { readonly schema: string; readonly name: string } {
  const dot = table.indexOf('.')
  return { schema: table.slice(0, dot), name: table.slice(dot + 1) }
}
