import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Child, RunFolder } from '@tidemark/local'
import type { AppSetup } from './app.ts'
import { type AppNote, readHistory } from './app-history.ts'
import { sumOfPaths } from './app-paths.ts'
import { type AppsServers, REGIONS, redisUrlOf } from './apps-servers.ts'

export interface FleetOptions {
  readonly seed: number
  /** Between two things that a user does. */
  readonly pauseMs: number
}

interface RunningApp {
  readonly child: Child
  readonly setup: AppSetup
}

const PROCESSES_A_REGION = 4
const QUIET = ['--disable-warning=ExperimentalWarning']

/** Eight app processes, four a region. */
export class AppFleet implements AsyncDisposable {
  readonly #folder: RunFolder
  readonly #apps: readonly RunningApp[]

  private constructor(folder: RunFolder, apps: readonly RunningApp[]) {
    this.#folder = folder
    this.#apps = apps
  }

  static async start(servers: AppsServers, { seed, pauseMs }: FleetOptions): Promise<AppFleet> {
    const folder = await RunFolder.create()
    const setups = REGIONS.flatMap((region, r) =>
      Array.from({ length: PROCESSES_A_REGION }, (_, i): AppSetup => {
        const name = `${region}-${i + 1}`
        return {
          ...{ source: servers.source.name, process: name, region, pauseMs, hasMemory: i % 2 === 0 },
          ...{ redisUrl: redisUrlOf(region), visitsUrl: redisUrlOf(REGIONS[0]) },
          ...{ primaryUrl: servers.pipeline.servers.primaryUrl, replicas: servers.replicaUrls() },
          ...{ historyFile: folder.at(`${name}.history`), pathsFile: folder.at(`${name}.paths`) },
          ...{ seed: seed + r * PROCESSES_A_REGION + i },
        }
      }),
    )
    return new AppFleet(folder, await Promise.all(setups.map((setup) => startApp(folder, setup))))
  }

  /** How often each path was taken by now, by all of them. */
  paths(): Readonly<Record<string, number>> {
    const counts = this.#apps.map(({ setup }) => JSON.parse(readFileSync(setup.pathsFile, 'utf8')))
    return sumOfPaths(counts as Record<string, number>[])
  }

  /** Lets every process come to its end, and gives what all of them noted. */
  async finish(): Promise<AppNote[]> {
    for (const { child, setup } of this.#apps) {
      // One that had ended by itself has left a history of half the run.
      const exit = child.isRunning ? await child.stop() : await child.exited
      if (exit.code !== 0) throw new Error(`the app ${setup.process} ended with ${exit.code ?? exit.signal}`)
    }
    const histories = await Promise.all(this.#apps.map(({ setup }) => readHistory(setup.historyFile)))
    return histories.flat()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#apps.map(({ child }) => child[Symbol.asyncDispose]()))
    await this.#folder[Symbol.asyncDispose]()
  }
}

async function startApp(folder: RunFolder, setup: AppSetup): Promise<RunningApp> {
  const child = await Child.start({
    name: `app ${setup.process}`,
    command: process.execPath,
    args: [...QUIET, join(import.meta.dirname, 'app-process.ts')],
    logFile: folder.at(`${setup.process}.log`),
    env: { ...process.env, TIDEMARK_TEST_APP: JSON.stringify(setup) },
    ready: () => existsSync(setup.pathsFile),
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 30_000,
  })
  return { child, setup }
}
