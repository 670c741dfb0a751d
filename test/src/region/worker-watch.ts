import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import type { ServiceProcess } from '../pipeline/service-process.ts'
import type { Region } from './region.ts'

/** What the workers said of themselves at one moment: each that could be asked. */
export interface WorkerSample {
  readonly atMs: number
  readonly worker: number
  /** Its process: counters begin at zero with each. */
  readonly pid: number
  readonly ready: boolean
  /** Why not, in its own words. */
  readonly reasons: readonly string[]
  /** The keyspaces whose values are older than their criticality bears. */
  readonly alarms: readonly string[]
  /** Its metrics: the sum over all labels of each name. */
  readonly metrics: Readonly<Record<string, number>>
}

/** A line of a worker's log. */
export interface WorkerLine {
  readonly atMs: number
  readonly worker: number
  readonly msg: string
  /** Of a gap. */
  readonly cause?: string
}

const EVERY_MS = 500
const TIMEOUT_MS = 1_000
const DEADLINE_MS = 30_000

/** Asks the workers all the time what an operator's alarms would ask. */
export class WorkerWatch implements AsyncDisposable {
  readonly samples: WorkerSample[] = []
  readonly #region: Region
  readonly #ending = new AbortController()
  readonly #ended: Promise<void>

  private constructor(region: Region) {
    this.#region = region
    this.#ended = this.#watch()
  }

  /** Returns after a first look: what had been counted by then is known. */
  static async start(region: Region): Promise<WorkerWatch> {
    const watch = new WorkerWatch(region)
    await watch.#everyWorkerTells()
    return watch
  }

  /** Returns after a last look, so that nothing that was counted is missed. */
  async stop(): Promise<void> {
    await this[Symbol.asyncDispose]()
    await this.#everyWorkerTells()
  }

  /** Without a last look: a scenario that fails may leave workers behind that tell nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort()
    await this.#ended
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ending
    while (!signal.aborted) {
      await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined)
      await this.#look()
    }
  }

  /** A worker on a busy machine may not answer in time; one that was stopped need not. */
  async #everyWorkerTells(): Promise<void> {
    const from = this.samples.length
    const tell = async () => {
      await this.#look()
      const told = new Set(this.samples.slice(from).map(({ worker }) => worker))
      return this.#region.workers.every(({ isRunning }, number) => told.has(number) || !isRunning)
    }
    await waitUntil('every worker tells', tell, { timeoutMs: DEADLINE_MS })
  }

  async #look(): Promise<void> {
    await Promise.all(this.#region.workers.map((worker, number) => this.#ask(worker, number)))
  }

  async #ask(worker: ServiceProcess, number: number): Promise<void> {
    const { pid } = worker
    try {
      const [readyz, metrics] = await Promise.all([get(worker, '/readyz'), get(worker, '/metrics')])
      const { ready, failing } = JSON.parse(readyz) as { ready: boolean; failing: { reason: string }[] }
      const reasons = failing.map(({ reason }) => reason)
      const alarms = Array.from(metrics.matchAll(ALARM), ([, keyspace]) => keyspace!)
      this.samples.push({ atMs: Date.now(), worker: number, pid, ready, reasons, alarms, metrics: sumsIn(metrics) })
    } catch {
      // It is away, or frozen, which is what some scenarios do.
    }
  }
}

/** Everything that the workers have logged in all their lives. */
export async function workerLines({ workers }: Region): Promise<WorkerLine[]> {
  const logs = workers.map(async ({ logFile }, worker) => {
    const lines = (await readFile(logFile, 'utf8')).split('\n').filter((line) => line.startsWith('{'))
    return lines.map((line): WorkerLine => {
      const { time, ...more } = JSON.parse(line) as WorkerLine & { readonly time: string }
      return { ...more, atMs: Date.parse(time), worker }
    })
  })
  return (await Promise.all(logs)).flat()
}

async function get({ telemetryUrl }: ServiceProcess, path: string): Promise<string> {
  const answer = await fetch(`${telemetryUrl}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) })
  return await answer.text()
}

const ALARM = /^tidemark_worker_staleness_alarm\{.*keyspace="([^"]+)".*\} 1\b/gm
const LINE = /^([a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)/

function sumsIn(text: string): Record<string, number> {
  const sums: Record<string, number> = {}
  for (const line of text.split('\n')) {
    const [, name, value] = LINE.exec(line) ?? []
    if (name !== undefined) sums[name] = (sums[name] ?? 0) + Number(value)
  }
  return sums
}
