import { isTidemarkError, TidemarkError } from '@tidemark/protocol'
import type { Logger } from '@tidemark/service'
import { Kafka, type LogEntry } from 'kafkajs'

/** How to reach Kafka: the same for every service. */
export interface KafkaConnection {
  /** The brokers to ask first, host:port. */
  readonly brokers: readonly string[]
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
export function kafkaClient({ brokers, clientId, requestTimeoutMs, log }: KafkaClientOptions): Kafka {
  return new Kafka({
    clientId,
    brokers: [...brokers],
    connectionTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: requestTimeoutMs,
    retry: CLIENT_RETRY,
    logCreator: () => (entry: LogEntry) => log.debug({ kafkajs: entry.log.message }, 'kafkajs'),
  })
}

/** An error of kafkajs as one with a code; any other as it is. */
export function kafkaError(error: unknown): unknown {
  if (isTidemarkError(error) || !(error instanceof Error) || !error.name.startsWith('KafkaJS')) return error
  return new TidemarkError('SERVER_UNREACHABLE', `Kafka: ${error.message}`, { cause: error })
}
