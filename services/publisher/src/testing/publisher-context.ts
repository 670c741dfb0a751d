import { randomUUID } from 'node:crypto'
import { localServers, waitUntil } from '@tidemark/local'
import { decodeRecord, defineSource, type Source, type SourceConfig, type TidemarkRecord } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { type Logger, pino } from 'pino'
import { type PublisherOptions, runPublisher } from '../publisher.ts'

/** A record as it lies in Kafka. */
export type Published = TidemarkRecord & { readonly partition: number; readonly offset: bigint }

const DEADLINE_MS = 30_000
const READ_MS = 5

/**
 * A database, a topic and a slot of a test's own, on real servers, and what the publisher wrote to the topic, read by
 * a consumer of the test's. For tests alone.
 */
export class PublisherContext implements AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly brokers: readonly string[]
  readonly sql: Client
  readonly records: Published[] = []
  readonly logged: { readonly level: number; readonly msg: string; readonly [field: string]: unknown }[] = []
  readonly log: Logger
  readonly #resources: AsyncDisposableStack

  private constructor(name: string, url: string, brokers: readonly string[], sql: Client, res: AsyncDisposableStack) {
    this.name = name
    this.url = url
    this.brokers = brokers
    this.sql = sql
    this.#resources = res
    this.log = pino({ level: 'debug' }, { write: (line: string) => this.logged.push(JSON.parse(line)) })
  }

  /** @param serverUrl a server of the test's own; the shared one by default */
  static async open(options: { serverUrl?: string; brokers?: string } = {}): Promise<PublisherContext> {
    await using resources = new AsyncDisposableStack()
    const servers = localServers()
    const serverUrl = options.serverUrl ?? servers.primaryUrl
    const name = `pub_${randomUUID().slice(0, 8)}`
    await asAdmin(serverUrl, (admin) => admin.query(`create database ${name}`))
    resources.defer(() => asAdmin(serverUrl, (admin) => cleanUp(admin, name)))
    const url = new URL(serverUrl)
    url.pathname = `/${name}`
    const sql = await client(url.href)
    resources.defer(() => sql.end())
    const brokers = (options.brokers ?? servers.kafkaBrokers).split(',')
    return new PublisherContext(name, url.href, brokers, sql, resources.move())
  }

  /** A source of this context's own names; two partitions unless the test says otherwise. */
  source(keyspaces: SourceConfig['keyspaces'], more: Partial<SourceConfig> = {}): Source {
    return defineSource({ name: this.name.replaceAll('_', '-'), partitions: 2, keyspaces, ...more })
  }

  /** Runs a publisher until it is stopped; a failure that it does not survive is thrown by `stop`. */
  start(source: Source, options: Partial<PublisherOptions> = {}): RunningPublisher {
    const ending = new AbortController()
    const run = runPublisher({
      source,
      postgresUrl: this.url,
      brokers: this.brokers,
      log: this.log,
      beatMs: 50,
      signal: ending.signal,
      ...options,
    })
    const publisher = new RunningPublisher(run, ending)
    this.#resources.defer(() => publisher.stop().catch(() => undefined))
    return publisher
  }

  /** Reads the topic from its start, as long as the context lives. */
  async follow(source: Source): Promise<void> {
    const kafka = new Kafka({ clientId: 'test', brokers: [...this.brokers], logLevel: logLevel.NOTHING })
    await this.#untilTopic(kafka, source.topic)
    const consumer = kafka.consumer({
      groupId: `${this.name}-${randomUUID()}`,
      maxWaitTimeInMs: READ_MS,
      retry: { retries: 20, initialRetryTime: 50, maxRetryTime: 500 },
    })
    await consumer.connect()
    this.#resources.defer(() => consumer.disconnect())
    await consumer.subscribe({ topic: source.topic, fromBeginning: true })
    await consumer.run({
      eachMessage: async ({ partition, message }) => {
        const record = decodeRecord(message.key, message.value)
        this.records.push({ ...record, partition, offset: BigInt(message.offset) })
      },
    })
  }

  async #untilTopic(kafka: Kafka, topic: string): Promise<void> {
    const admin = kafka.admin()
    await admin.connect()
    try {
      await this.untilTrue('the topic is there', async () => (await admin.listTopics()).includes(topic))
    } finally {
      await admin.disconnect()
    }
  }

  /** Waits until what was published satisfies `found`. */
  async until(what: string, found: (records: readonly Published[]) => boolean): Promise<void> {
    await waitUntil(what, () => found(this.records), { timeoutMs: DEADLINE_MS })
  }

  async untilTrue(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await waitUntil(what, condition, { timeoutMs: DEADLINE_MS })
  }

  events(): Extract<Published, { kind: 'event' }>[] {
    return this.records.filter((r) => r.kind === 'event')
  }

  /** The keys that were published, each once, sorted. */
  keys(): string[] {
    return [...new Set(this.events().map((e) => e.key))].sort()
  }

  /** Some query's first value. */
  async value<T>(query: string, params: unknown[] = []): Promise<T> {
    const { rows } = await this.sql.query({ text: query, values: params, rowMode: 'array' })
    return rows[0]?.[0] as T
  }

  /** Drops the slot as an operator would, once the server has noticed that nobody streams from it any more. */
  async dropSlot(source: Source): Promise<void> {
    const drop =
      'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active'
    await this.untilTrue('the slot is dropped', async () => (await this.sql.query(drop, [source.slot])).rowCount === 1)
  }

  /** Publishers and consumers end first, then the slot goes: a server has few of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

/** On a connection of its own: the server may have been restarted since the last one. */
async function asAdmin(serverUrl: string, work: (admin: Client) => Promise<unknown>): Promise<void> {
  const admin = await client(serverUrl)
  try {
    await work(admin)
  } finally {
    await admin.end()
  }
}

/** Drops what the test leaves behind, once everything that used it has ended. */
async function cleanUp(admin: Client, database: string): Promise<void> {
  await admin.query(`alter database ${database} allow_connections false`)
  await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [database])
  await waitUntil(
    'the slots of the test are dropped',
    async () => {
      const drop =
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active'
      await admin.query(drop, [database])
      const { rows } = await admin.query('select 1 from pg_replication_slots where database = $1', [database])
      return rows.length === 0
    },
    { timeoutMs: DEADLINE_MS },
  )
  await admin.query(`drop database ${database} with (force)`)
}

export class RunningPublisher {
  readonly done: Promise<unknown>
  readonly #ending: AbortController

  constructor(run: Promise<never>, ending: AbortController) {
    this.#ending = ending
    this.done = run.catch((error: unknown) => error)
  }

  /** Asks it to end and waits; throws what it ended with, unless that was the asking. */
  async stop(): Promise<void> {
    this.#ending.abort(new Error('stopped by the test'))
    const error = await this.done
    if (error !== this.#ending.signal.reason) throw error
  }
}

async function client(url: string): Promise<Client> {
  const connection = new Client({ connectionString: url })
  // A server that is stopped under a test's connection is what some tests do.
  connection.on('error', () => undefined)
  await connection.connect()
  return connection
}
