import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { historyOf } from '../evidence/commit-history.ts'
import { LogRecorder } from '../evidence/log-recorder.ts'
import { SteadyWriters } from '../outage/steady-writers.ts'
import { between, pick, randomOf } from '../seeded-random.ts'
import { AppFleet } from './app-fleet.ts'
import { missingPaths } from './app-paths.ts'
import { transfer } from './app-users.ts'
import { breaches, failures, readsIn } from './apps-check.ts'
import { AppsServers } from './apps-servers.ts'
import { type KeyspaceName, PAIRS } from './apps-source.ts'
import { ReplicaLag } from './replica-lag.ts'

export interface AppsRunOptions {
  readonly seed: number
  readonly seconds: number
  readonly mostLagMs: number
  readonly commitsPerSecond: number
  readonly pauseMs: number
}

export interface AppsReport {
  readonly breaches: readonly string[]
  readonly failures: readonly string[]
  readonly missingPaths: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  readonly commits: number
  readonly reads: number
  readonly fresh: number
  readonly sessions: number
}

/** A region is cut off for longer than the shortest contracts bear. */
const FROZEN_MS = 3_500
const PATHS_TIMEOUT_MS = 60_000

/** Eight processes of two regions at work on replicas that lag, and what is to be said of it. */
export async function runApps(options: AppsRunOptions): Promise<AppsReport> {
  await using servers = await AppsServers.start()
  const { pipeline, source } = servers
  const { primary } = pipeline
  const recorder = await LogRecorder.start(primary, `${pipeline.name}_history`, ['hot'])
  await servers.startServices()
  const random = randomOf(options.seed)
  await using fleet = await AppFleet.start(servers, options)
  await using writers = new SteadyWriters(options.commitsPerSecond, async () => {
    const db = await primary.connect()
    try {
      await db.query('begin')
      await transfer(db, pick(random, PAIRS), between(random, -50, 50))
      await db.query('commit')
      db.release()
    } catch (error) {
      db.release(true)
      throw error
    }
  })
  await using lag = new ReplicaLag(servers.replicas, random, options.mostLagMs)
  const halfMs = (options.seconds * 1_000 - FROZEN_MS) / 2
  await sleep(halfMs)
  servers.workers[1]!.pause()
  await sleep(FROZEN_MS)
  servers.workers[1]!.resume()
  await sleep(halfMs)
  await everyPathTaken(fleet)
  await writers.stop()
  const notes = await fleet.finish()
  await lag[Symbol.asyncDispose]()
  const history = await historyOf(recorder.finish(), epochOf(await pipeline.here()))
  const counts = fleet.paths()
  const reads = readsIn(notes)
  return {
    breaches: breaches(notes, history, (name) => source.keyspaces[name as KeyspaceName].contract.maxStalenessMs),
    failures: failures(notes),
    missingPaths: missingPaths(counts),
    counts,
    commits: [...history.values()].reduce((sum, commits) => sum + commits.length, 0) / 2,
    reads: reads.length,
    fresh: reads.filter(({ freshness }) => freshness === 'fresh').length,
    sessions: new Set(reads.flatMap(({ place }) => place?.session ?? [])).size,
  }
}

/** A busy machine takes longer to come by every way; the ways that were not taken at all are in the report. */
async function everyPathTaken(fleet: AppFleet): Promise<void> {
  const areTaken = () => missingPaths(fleet.paths()).length === 0
  await waitUntil('every path is taken', areTaken, { timeoutMs: PATHS_TIMEOUT_MS, everyMs: 500 }).catch(() => undefined)
}

/** For people: what was done, and how often each way was taken. */
export function printed({ commits, reads, fresh, sessions, counts }: AppsReport, { seed }: AppsRunOptions): string {
  const rows = Object.entries(counts).toSorted(([a], [b]) => a.localeCompare(b))
  const did = `seed ${seed}: ${commits} transfers, ${reads} values read, ${fresh} of them fresh, ${sessions} sessions`
  return [did, '', '| path | times |', '| --- | --- |', ...rows.map(([path, n]) => `| ${path} | ${n} |`)].join('\n')
}
