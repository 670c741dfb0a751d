import type { ConnectionOptions } from 'node:tls'
import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import type { Logger, TlsPems } from '@tidemark/service'
import { Kafka, type LogEntry, type SASLOptions } from 'kafkajs'
import { plainSocket } from './plain-socket.ts'
import { refusalOf } from './refusal.ts'

/** How to reach Kafka: the same for every service. `kafkaConnection` makes it of the settings. */
export interface KafkaConnection {
  /** The brokers to ask first, host:port. */
  readonly brokers: readonly string[]
  /** Plain text without it. */
  readonly tls?: KafkaTls | undefined
  /** Nobody logs in without it. */
  readonly sasl?: KafkaSasl | undefined
}

export type KafkaTls = TlsPems

export interface KafkaSasl {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface KafkaClientOptions extends KafkaConnection {
  readonly clientId: string
  readonly requestTimeoutMs: number
  readonly log: Logger
}

const CONNECT_TIMEOUT_MS = 3_000

/** Within one client; whoever needs longer makes a new one, with a back-off of its own. */
export const CLIENT_RETRY = { retries: 3, initialRetryTime: 50, maxRetryTime: 500 }

/** A kafkajs client whose log lines are for whoever looks into it: what matters comes back as an error. */
export function kafkaClient({ brokers, tls, sasl, clientId, requestTimeoutMs, log }: KafkaClientOptions): Kafka {
  return new Kafka({
    clientId,
    brokers: [...brokers],
    ...(tls ? { ssl: secureOptions(tls) } : { socketFactory: plainSocket }),
    // A copy: kafkajs hangs its own things on it. Its type has a member per mechanism, all of this shape.
    ...(sasl && { sasl: { ...sasl } as SASLOptions }),
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: requestTimeoutMs,
    retry: CLIENT_RETRY,
    logCreator: () => (entry: LogEntry) => log.debug({ kafkajs: entry.log.message }, 'kafkajs'),
  })
}

function secureOptions({ ca, cert, key }: KafkaTls): ConnectionOptions {
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    // Said, not left to the default: Node lets an environment variable switch verification off.
    rejectUnauthorized: true,
  }
}

/** An error of kafkajs as one with a code: SERVER_REFUSED or SERVER_UNREACHABLE; any other as it is. */
export function kafkaError(error: unknown): unknown {
  if (isTidemarkError(error) || !(error instanceof Error) || !error.name.startsWith('KafkaJS')) return error
  const refusal = refusalOf(error)
  if (refusal) {
    return new TidemarkError('SERVER_REFUSED', `Kafka: ${refusal.reason}`, { mend: refusal.mend, cause: error })
  }
  const mend = LOOKS_LIKE_ANOTHER_LISTENER.test(error.message) ? OTHER_LISTENER : undefined
  return new TidemarkError('SERVER_UNREACHABLE', `Kafka: ${error.message}`, { ...(mend && { mend }), cause: error })
}

/** A broker that stops closes connections just so, which is why it is no refusal. */
const LOOKS_LIKE_ANOTHER_LISTENER = /^Closed connection|before secure TLS connection was established$/
const OTHER_LISTENER = 'If it goes on, compare what the listener of this port wants, TLS and SASL, with the settings'
