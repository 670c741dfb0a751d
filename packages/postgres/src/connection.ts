import type { Socket } from 'node:net'
import { TidemarkError } from '@tidemark/protocol'
import { withDeadline } from '@tidemark/service'
import { Client } from 'pg'
import { codedError } from './sql-error.ts'
import { asLibpqMeansIt } from './tls-parameters.ts'

const CONNECT_TIMEOUT_MS = 5_000

/** What every connection to a source has in common, replication included. */
export function connectionConfig(url: string, applicationName: string) {
  return {
    connectionString: asLibpqMeansIt(url),
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
  const client = clientOf(url, applicationName)
  client.on('error', (error) => onLost(codedError(error, 'the connection to Postgres was lost')))
  try {
    await client.connect()
    return client
  } catch (error) {
    await disconnect(client)
    throw codedError(error, 'Postgres cannot be reached')
  }
}

/** The driver reads the URL, and the files that it names, before it connects. */
function clientOf(url: string, applicationName: string): Client {
  try {
    return new Client(connectionConfig(url, applicationName))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TidemarkError('SETTINGS_INVALID', `the connection URL of Postgres cannot be used: ${reason}`, {
      cause: error,
    })
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
