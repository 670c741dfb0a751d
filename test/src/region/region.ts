/*
 * A scenario is an object {@link Scenario}: the servers that are its own, how many workers there are, and the fault. Add
 * it to a file of scenarios by what it breaks (worker-scenarios.ts), or make it with the servers at hand (the test starts
 * them and keeps them for several). `runScenario` (region-run.ts) brings it about with writers, readers and samples
 * running, and gives the evidence; `reportOf` holds that against the protocol; `expectLawful` is what every scenario has
 * to leave behind. Whatever makes Redis forget goes into `region.losing()`. What takes seconds is in *.test.ts, what
 * takes minutes in *.long.test.ts of this folder, with the same scenarios: `npm run test:long -- region`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceProcess } from '../pipeline/service-process.ts'
import type { Random } from '../seeded-random.ts'
import type { RegionContext, RegionServers } from './region-context.ts'

/** A stretch of the wall clock. */
export interface Span {
  readonly fromMs: number
  readonly untilMs: number
}

/** Something that goes wrong in a region, and what the region consists of when it begins. */
export interface Scenario {
  readonly servers?: RegionServers
  readonly workers: number
  /** Settings of the workers that are not the tests' own. */
  readonly workerEnv?: (worker: number) => NodeJS.ProcessEnv
  /** And of the publisher. */
  readonly publisherEnv?: NodeJS.ProcessEnv
  /** Brings the fault about, and returns when it is over: from then on the time to recover counts. */
  readonly fault: (region: Region, options: FaultOptions) => Promise<void>
}

export interface FaultOptions {
  /** How long it is to last. */
  readonly ms: number
  readonly random: Random
}

/** One region at work, for a scenario to break. */
export class Region {
  readonly context: RegionContext
  readonly publisher: ServiceProcess
  readonly workers: ServiceProcess[] = []
  /** When its Redis lost something, and views may go back with it. */
  readonly losses: Span[] = []
  readonly #workerEnv: NonNullable<Scenario['workerEnv']>

  constructor(context: RegionContext, publisher: ServiceProcess, workerEnv: Scenario['workerEnv'] = () => ({})) {
    this.context = context
    this.publisher = publisher
    this.#workerEnv = workerEnv
  }

  async startWorker(): Promise<ServiceProcess> {
    const worker = await this.context.startProcess('worker', this.#workerEnv(this.workers.length))
    this.workers.push(worker)
    return worker
  }

  /** What makes Redis forget is to be done in here: views go back with the Redis that holds them, and only then. */
  async losing(loss: () => Promise<unknown>): Promise<void> {
    const fromMs = Date.now()
    await loss()
    this.losses.push({ fromMs, untilMs: Date.now() })
  }
}

/** The fault lasts: a stretch of time is what a scenario is about, nothing is waited for. */
export async function lasting(ms: number): Promise<void> {
  await sleep(ms)
}
