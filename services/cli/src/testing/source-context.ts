import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { dropDatabase, localServers, RunFolder } from '@tidemark/local'
import { readServerFacts, recordEpoch, recordStart, recreateSlot } from '@tidemark/postgres'
import { defineSource, type Source, type SourceConfig } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { Client } from 'pg'
import { findingsOf } from '../doctor/doctor.ts'
import type { Finding } from '../doctor/finding.ts'
import { PATIENCE, type Patience } from '../doctor/slot-findings.ts'
import { readParts } from '../facts/parts.ts'
import type { Servers } from '../settings.ts'

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url))
const PROTOCOL = new URL('../../../../packages/protocol/src/index.ts', import.meta.url).href

export interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface SourceContextOptions {
  /** A server of the test's own; the shared one by default. */
  readonly primaryUrl?: string
  readonly keyspaces?: SourceConfig['keyspaces']
}

const PRODUCTS: SourceConfig['keyspaces'] = {
  product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } },
}

/** A database, a topic and a configuration file of a test's own, and the command as a process. For tests alone. */
export class SourceContext implements AsyncDisposable {
  readonly source: Source
  readonly servers: Servers
  readonly sql: Client
  readonly #config: string
  readonly #resources: AsyncDisposableStack

  private constructor(source: Source, servers: Servers, config: string, sql: Client, resources: AsyncDisposableStack) {
    this.source = source
    this.servers = servers
    this.#config = config
    this.sql = sql
    this.#resources = resources
  }

  static async open({ primaryUrl, keyspaces = PRODUCTS }: SourceContextOptions = {}): Promise<SourceContext> {
    await using resources = new AsyncDisposableStack()
    const shared = localServers()
    const name = `c${randomBytes(4).toString('hex')}`
    const admin = await connected(primaryUrl ?? shared.primaryUrl, resources)
    await admin.query(`create database ${name}`)
    resources.defer(() => dropDatabase(admin, name))
    const url = new URL(primaryUrl ?? shared.primaryUrl)
    url.pathname = `/${name}`
    const sql = await connected(url.href, resources)
    await sql.query('create table product (id int primary key, name text)')
    const config = { name, partitions: 2, keyPrefix: name, keyspaces }
    const folder = resources.use(await RunFolder.create())
    const file = join(folder.path, 'tidemark.config.ts')
    await writeFile(
      file,
      `import { defineSource } from '${PROTOCOL}'\nexport default defineSource(${JSON.stringify(config)})\n`,
    )
    const source = defineSource(config)
    const brokers = shared.kafkaBrokers.split(',')
    resources.defer(() => deleteTopic(brokers, source.topic))
    const servers = { primaryUrl: url.href, kafka: { brokers }, replicationFactor: 1, regions: [], replicas: [] }
    return new SourceContext(source, servers, file, sql, resources.move())
  }

  /** With all that `init --yes` makes, and the slot and the first epoch of a publisher that runs no more. */
  static async started(options: SourceContextOptions = {}): Promise<SourceContext> {
    const ctx = await SourceContext.open(options)
    const { code, stderr } = await ctx.tidemark(['init', '--yes'])
    if (code !== 0) {
      await ctx[Symbol.asyncDispose]()
      throw new Error(stderr)
    }
    const { sql, source } = ctx
    const server = await readServerFacts(sql)
    const epoch = { number: 1, ...server, start: null, slot: source.slot, shape: '{}' }
    await recordEpoch(sql, source.name, epoch)
    await recordStart(sql, source.name, 1, await recreateSlot(sql, source, server.version))
    return ctx
  }

  /** Runs the command as a process of its own. */
  tidemark(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const env = {
      PATH: process.env.PATH,
      TIDEMARK_CONFIG: this.#config,
      TIDEMARK_PRIMARY_URL: this.servers.primaryUrl,
      TIDEMARK_KAFKA_BROKERS: this.servers.kafka.brokers.join(','),
      ...more,
    }
    const quiet = ['--disable-warning=ExperimentalWarning', '--disable-warning=TimeoutNegativeWarning']
    const { promise, resolve } = Promise.withResolvers<Ended>()
    execFile(process.execPath, [...quiet, MAIN, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr }),
    )
    return promise
  }

  /** What the doctor finds, in this process; but for slots of other databases, which are other tests'. */
  async findings(servers: Partial<Servers> = {}, patience: Partial<Patience> = {}): Promise<Finding[]> {
    const parts = await readParts(this.source, { ...this.servers, ...servers })
    return findingsOf(this.source, parts, { ...PATIENCE, unusedSlotBytes: Infinity, ...patience }, Date.now())
  }

  async value<T>(query: string, values: unknown[] = []): Promise<T> {
    const { rows } = await this.sql.query({ text: query, values, rowMode: 'array' })
    return rows[0]?.[0] as T
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

async function connected(url: string, resources: AsyncDisposableStack): Promise<Client> {
  const client = new Client({ connectionString: url })
  // A test may end its server first; the query in hand is rejected too.
  client.on('error', () => undefined)
  await client.connect()
  resources.defer(() => client.end())
  return client
}

async function deleteTopic(brokers: readonly string[], topic: string): Promise<void> {
  const admin = new Kafka({ clientId: 'test', brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  // Of one that was never made kafkajs would ask again and again.
  if ((await admin.listTopics()).includes(topic)) await admin.deleteTopics({ topics: [topic] })
  await admin.disconnect()
}
