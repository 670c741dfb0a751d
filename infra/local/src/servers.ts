import { type GivenServers, REGIONS, type ServerUrls, serverEnvironment } from './given-servers.ts'
import { KafkaServer } from './kafka.ts'
import { brokersAnswer } from './kafka-client.ts'
import { PostgresServer, postgresAnswers } from './postgres.ts'
import { RedisServer } from './redis.ts'
import { redisAnswers } from './redis-client.ts'
import { RunFolder } from './run-folder.ts'
import { waitUntil } from './wait.ts'

const GIVEN_TIMEOUT_MS = 10_000

export interface StartServersOptions {
  /** What runs already, from `givenServers(process.env)`: it is used as it is, and left running. */
  readonly given: GivenServers
  /** Where the data of this run goes; `.local` in the project by default. */
  readonly dir?: string
  /** The home region first: it reads the primary, every other one has a replica. */
  readonly regions?: readonly string[]
  /** False switches Postgres's fsync off, for tests. */
  readonly durable?: boolean
  readonly onProgress?: (message: string) => void
  /** Interrupts the start: what was started by then is stopped. */
  readonly signal?: AbortSignal
}

/** The servers that were started here; those that were given are absent. */
export interface StartedServers {
  primary?: PostgresServer
  kafka?: KafkaServer
  readonly replicas: Record<string, PostgresServer>
  readonly redis: Record<string, RedisServer>
}

/** Postgres with a replica per remote region, Kafka, and a Redis per region. */
export class LocalServers implements ServerUrls, AsyncDisposable {
  readonly primaryUrl: string
  readonly replicaUrls: Readonly<Record<string, string>>
  readonly kafkaBrokers: string
  readonly redisUrls: Readonly<Record<string, string>>
  readonly started: Readonly<StartedServers>
  readonly #resources: AsyncDisposableStack

  constructor(urls: ServerUrls, started: StartedServers, resources: AsyncDisposableStack) {
    this.primaryUrl = urls.primaryUrl
    this.replicaUrls = urls.replicaUrls
    this.kafkaBrokers = urls.kafkaBrokers
    this.redisUrls = urls.redisUrls
    this.started = started
    this.#resources = resources
  }

  /** The environment variables that name these servers. */
  get environment(): Record<string, string> {
    return serverEnvironment(this)
  }

  /** Stops what was started, and removes its data. */
  async stop(): Promise<void> {
    await this.#resources.disposeAsync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Starts all servers; if one fails, or the signal is aborted, the others are stopped too and nothing remains. */
export async function startServers(options: StartServersOptions): Promise<LocalServers> {
  await using resources = new AsyncDisposableStack()
  const failure = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal
  const folder = resources.use(await RunFolder.create(options.dir))
  const startup = new Startup({ ...options, signal }, folder, resources)
  const [postgres, kafkaBrokers, redisUrls] = await allOrNone(failure, [
    startup.postgres(),
    startup.kafka(),
    startup.redis(),
  ])
  return new LocalServers({ ...postgres, kafkaBrokers, redisUrls }, startup.started, resources.move())
}

/** One start of the servers, those that don't need one another at the same time. */
class Startup {
  readonly started: StartedServers = { replicas: {}, redis: {} }
  readonly #options: StartServersOptions
  readonly #regions: readonly string[]
  readonly #folder: RunFolder
  readonly #resources: AsyncDisposableStack

  constructor(options: StartServersOptions, folder: RunFolder, resources: AsyncDisposableStack) {
    this.#options = options
    this.#regions = options.regions ?? REGIONS
    this.#folder = folder
    this.#resources = resources
  }

  async postgres(): Promise<Pick<ServerUrls, 'primaryUrl' | 'replicaUrls'>> {
    const { primaryUrl, replicaUrls } = this.#options.given
    if (primaryUrl) {
      for (const url of [primaryUrl, ...Object.values(replicaUrls)]) await this.#given(url, postgresAnswers)
      return { primaryUrl, replicaUrls }
    }
    const { durable = true } = this.#options
    const primary = await PostgresServer.start({ ...this.#common('postgres-primary'), durable })
    this.started.primary = this.#resources.use(primary)
    const urls: Record<string, string> = {}
    for (const region of this.#regions.slice(1)) {
      const replica = await primary.createReplica({ ...this.#common(`postgres-${region}`), name: region })
      this.started.replicas[region] = this.#resources.use(replica)
      urls[region] = replica.url()
    }
    return { primaryUrl: primary.url(), replicaUrls: urls }
  }

  async kafka(): Promise<string> {
    const { kafkaBrokers } = this.#options.given
    if (kafkaBrokers) return this.#given(kafkaBrokers, brokersAnswer)
    const kafka = await KafkaServer.start(this.#common('kafka'))
    this.started.kafka = this.#resources.use(kafka)
    return kafka.brokers
  }

  async redis(): Promise<Record<string, string>> {
    const urls = this.#regions.map(async (region) => [region, await this.#redisOf(region)] as const)
    return Object.fromEntries(await Promise.all(urls))
  }

  async #redisOf(region: string): Promise<string> {
    const given = this.#options.given.redisUrls[region]
    if (given) return this.#given(given, redisAnswers)
    const redis = await RedisServer.start({ ...this.#common(`redis-${region}`), name: region })
    this.started.redis[region] = this.#resources.use(redis)
    return redis.url
  }

  /** A wrong URL is told now, by its name, and not by whichever service meets it first. */
  async #given(url: string, answers: (url: string) => Promise<boolean>): Promise<string> {
    const { signal } = this.#options
    await waitUntil(`the given server ${withoutPassword(url)} answers`, () => answers(url), {
      timeoutMs: GIVEN_TIMEOUT_MS,
      signal,
    })
    return url
  }

  #common(folder: string) {
    const { onProgress = () => undefined, signal } = this.#options
    return { dir: this.#folder.at(folder), onProgress, signal }
  }
}

/** Waits for every one, also after one has failed: what they have started by then must be known to be stopped. */
async function allOrNone<T extends readonly Promise<unknown>[]>(failure: AbortController, starts: readonly [...T]) {
  for (const start of starts) start.catch((error) => failure.abort(error))
  await Promise.allSettled(starts)
  // The first to fail stopped the others, whose errors say no more than that.
  failure.signal.throwIfAborted()
  return Promise.all(starts)
}

function withoutPassword(url: string): string {
  return url.replace(/:[^:@/]*@/, ':***@')
}
