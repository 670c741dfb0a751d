import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BenchStage } from './cache-libraries/bench-stage.ts'
import { LIBRARIES } from './cache-libraries/libraries.ts'
import type { Library } from './cache-libraries/library.ts'
import { currentLoad, machine, type Report, reportText } from './cache-libraries/report.ts'
import type { Turn } from './cache-libraries/turn.ts'

const TURN = join(import.meta.dirname, 'cache-libraries/turn.ts')
const QUIET = ['--disable-warning=ExperimentalWarning']
const TURN_TIMEOUT_MS = 300_000
const OPTIONS = {
  rounds: { type: 'string', default: '3' },
  json: { type: 'string' },
  only: { type: 'string' },
} as const
const PEERS = ['bentocache', 'layered-loader', 'cacheable', '@epic-web/cachified']

/**
 * Tidemark beside the cache libraries of Node, on the same servers of this machine: hits in memory and in Redis, misses,
 * a stampede, and writes under reads with the stale values that are left behind. Nothing is asserted.
 *
 * @param args `--rounds`, a file for the turns as `--json`, and `--only` some libraries, with commas
 */
export async function run(args: readonly string[]): Promise<void> {
  const { rounds, json, only } = parseArgs({ args: [...args], options: OPTIONS }).values
  const libraries = LIBRARIES.filter(({ name }) => only === undefined || only.split(',').includes(name))
  await using stage = await BenchStage.open()
  const [startedAt, before] = [new Date().toISOString(), currentLoad()]
  const turns: Turn[] = []
  for (let round = 0; round < Number(rounds); round++) {
    for (const library of rotated(libraries, round)) turns.push(await turnOf(stage, library))
  }
  const report: Report = {
    ...{ ...machine(), startedAt, load: { before, after: currentLoad() }, rounds: Number(rounds), turns },
    versions: { Node: process.versions.node, ...(await stage.versions()), ...(await versions()) },
  }
  if (json) await writeFile(json, JSON.stringify(report, null, 2))
  process.stdout.write(`${reportText(report)}\n`)
}

/** The pipeline runs in Tidemark's turn alone: nobody else has to share the machine with it. */
async function turnOf(stage: BenchStage, library: Library): Promise<Turn> {
  await stage.clear()
  await using _pipeline = library.needsPipeline ? await stage.startPipeline() : undefined
  process.stderr.write(`${library.name}\n`)
  const env = { ...process.env, TIDEMARK_BENCH_TURN: JSON.stringify(stage.task(library.name)) }
  const child = fork(TURN, { env, execArgv: QUIET, timeout: TURN_TIMEOUT_MS })
  const [turn] = (await Promise.race([once(child, 'message'), ended(child)])) as [Turn]
  return turn
}

async function ended(child: ReturnType<typeof fork>): Promise<never> {
  const [code, signal] = await once(child, 'exit')
  throw new Error(`a turn ended without a result: ${code ?? signal}`)
}

/** Each round another one begins. */
function rotated<T>(all: readonly T[], by: number): T[] {
  return all.map((_, i) => all[(i + by) % all.length]!)
}

async function versions(): Promise<Record<string, string>> {
  const { dependencies } = JSON.parse(await readFile(join(import.meta.dirname, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  return Object.fromEntries(PEERS.map((name) => [name, dependencies[name] ?? '']))
}
