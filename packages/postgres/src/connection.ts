import type { Socket } from 'node:net'
import type { TidemarkError } from '@tidemark/protocol'
import { withDeadline } from '@tidemark/service'
import { Client } from 'pg'
import { codedError } from './sql-error.ts'

const CONNECT_TIMEOUT_MS = 5_000

/** What every connection to a source has in common, replication included. */
export function connectionConfig(url: string, applicationName: string) {
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    // A peer that vanishes without a word is noticed by the kernel too, where our own watch is not looking.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  } as const
}

/** A connection to a source's server. `onLost` hears of its end when no query is there to be told. */
export async function connect(
  url: string,
  applicationName: string,
  onLost: (error: TidemarkError) => void,
): Promise<Client> {
  const client = new Client(connectionConfig(url, applicationName))
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
