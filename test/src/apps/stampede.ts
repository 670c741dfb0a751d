import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeView, partitionKeys } from '@tidemark/guard'
import { Child, localServers, RunFolder, waitUntil } from '@tidemark/local'
import { redisAt } from '@tidemark/redis'
import { runWorker } from '@tidemark/worker'
import { PipelineContext, quietRedis } from '../pipeline/pipeline-context.ts'
import { RunningService } from '../pipeline/running-service.ts'

export interface StampedeSetup {
  readonly source: string
  readonly region: string
  readonly redisUrl: string
  readonly primaryUrl: string
  readonly notesFile: string
  readonly id: number
  readonly readers: number
  readonly leaseMs: number
  readonly loadMs: number
}

export type StampedeNote =
  | { readonly kind: 'ready' | 'load' }
  | { readonly kind: 'read'; readonly n: number; readonly ms: number }

/** A process of the stampede, and what it has noted by now. */
interface Stampeder {
  readonly region: string
  readonly child: Child
  readonly notes: () => StampedeNote[]
}

export const REGIONS = ['eu-west', 'us-east'] as const
export const LEASE_MS = 1_500
export const LOAD_MS = 700
const PROCESSES_A_REGION = 2
const READERS = 50
const DEADLINE_MS = 60_000

/** Two regions with two app processes each, and rows that nobody has read yet. */
export class Stampede implements AsyncDisposable {
  readonly #pipeline: PipelineContext
  readonly #folder: RunFolder
  readonly #resources: AsyncDisposableStack

  private constructor(pipeline: PipelineContext, folder: RunFolder, resources: AsyncDisposableStack) {
    this.#pipeline = pipeline
    this.#folder = folder
    this.#resources = resources
  }

  static async open(): Promise<Stampede> {
    await using resources = new AsyncDisposableStack()
    const folder = resources.use(await RunFolder.create())
    const pipeline = resources.use(await PipelineContext.open())
    await pipeline.primary.query('insert into hot values (1, 10), (2, 20)')
    pipeline.startPublisher()
    for (const region of REGIONS) resources.use(workerOf(pipeline, region))
    await Promise.all(REGIONS.map((region) => trusted(pipeline, region)))
    return new Stampede(pipeline, folder, resources.move())
  }

  /** All readers of all processes ask for the row at once. */
  async run(id: number): Promise<Stampeder[]> {
    const starts = REGIONS.flatMap((region) =>
      Array.from({ length: PROCESSES_A_REGION }, (_, i) => this.#start(region, `${region}-${i}-${id}`, id)),
    )
    const stampeders = await Promise.all(starts)
    for (const { child } of stampeders) process.kill(child.pid, 'SIGUSR2')
    return stampeders
  }

  async #start(region: (typeof REGIONS)[number], name: string, id: number): Promise<Stampeder> {
    const { servers, source } = this.#pipeline
    const notesFile = this.#folder.at(`${name}.notes`)
    const setup: StampedeSetup = {
      ...{ source: source.name, region, redisUrl: localServers().redisUrls[region]!, primaryUrl: servers.primaryUrl },
      ...{ notesFile, id, readers: READERS, leaseMs: LEASE_MS, loadMs: LOAD_MS },
    }
    const notes = () => notesIn(notesFile)
    const child = await Child.start({
      name: `app ${name}`,
      command: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'stampede-process.ts')],
      logFile: this.#folder.at(`${name}.log`),
      env: { ...process.env, TIDEMARK_TEST_APP: JSON.stringify(setup) },
      ready: () => notes().length > 0,
      readyTimeoutMs: DEADLINE_MS,
    })
    return { region, child: this.#resources.use(child), notes }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

export function loadsIn(stampeders: readonly Stampeder[], region: string): number {
  return stampeders
    .filter((one) => one.region === region)
    .flatMap((one) => one.notes())
    .filter(({ kind }) => kind === 'load').length
}

/** Waits until all readers of these processes have been answered. */
export async function answersOf(
  stampeders: readonly Stampeder[],
): Promise<{ readonly n: number; readonly ms: number }[]> {
  const answers = () => stampeders.flatMap((one) => one.notes()).filter((note) => note.kind === 'read')
  await waitUntil('every reader has its answer', () => answers().length === stampeders.length * READERS, {
    timeoutMs: DEADLINE_MS,
  })
  return answers()
}

/** Waits until a process of the region loads, and gives it. */
export async function holderIn(stampeders: readonly Stampeder[], region: string): Promise<Stampeder> {
  const holder = () =>
    stampeders.find((one) => one.region === region && one.notes().some(({ kind }) => kind === 'load'))
  await waitUntil('one of them loads', () => holder() !== undefined, { timeoutMs: DEADLINE_MS, everyMs: 5 })
  return holder()!
}

function notesIn(file: string): StampedeNote[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as StampedeNote)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function workerOf({ source, servers }: PipelineContext, region: (typeof REGIONS)[number]): RunningService {
  const redis = redisAt(localServers().redisUrls[region]!)
  return new RunningService((signal, log) =>
    runWorker({ source, region, redis, brokers: servers.brokers, log, signal }),
  )
}

async function trusted({ source }: PipelineContext, region: (typeof REGIONS)[number]): Promise<void> {
  const redis = quietRedis(localServers().redisUrls[region]!)
  const keys = Array.from({ length: source.partitions }, (_, p) => partitionKeys(source.keyPrefix, p).view)
  const isTrusted = async () =>
    (await redis.mgetBuffer(...keys)).map(decodeView).every((view) => view !== null && view.gap === undefined)
  try {
    await waitUntil(`${region} is trusted`, isTrusted, { timeoutMs: DEADLINE_MS })
  } finally {
    redis.disconnect()
  }
}
