import { cpus } from 'node:os'
import { REPLICA_DELAY_MS } from './bench-stage.ts'
import { median } from './speed.ts'
import type { Turn } from './turn.ts'

export interface Report {
  readonly node: string
  readonly cores: number
  readonly cpu: string
  readonly versions: Readonly<Record<string, string>>
  readonly rounds: number
  readonly turns: readonly Turn[]
}

type Column = readonly [heading: string, of: (turn: Turn) => number | null, digits: number]

const SPEED: readonly Column[] = [
  ['L1 hits, 1,000/s', (t) => t.speed.memory && t.speed.memory.perSecond / 1_000, 0],
  ['CPU µs each', (t) => t.speed.memory?.cpuUs ?? null, 1],
  ['L2 hit, µs', (t) => t.speed.redis.medianUs, 0],
  ['L2 hits, /s', (t) => t.speed.redis.perSecond, 0],
  ['CPU µs each', (t) => t.speed.redis.cpuUs, 0],
  ['miss, µs', (t) => t.speed.miss.medianUs, 0],
  ['misses, /s', (t) => t.speed.miss.perSecond, 0],
  ['CPU µs each', (t) => t.speed.miss.cpuUs, 0],
  ['stampede, ms', (t) => t.speed.herd.ms, 1],
  ['loads', (t) => t.speed.herd.loads, 1],
  ['of 4 apps, ms', (t) => t.speed.herdOfFour.ms, 1],
  ['loads', (t) => t.speed.herdOfFour.loads, 1],
]

const RACE: readonly Column[] = (['raceOnPrimary', 'raceOnReplica'] as const).flatMap((which): Column[] => {
  const where = which === 'raceOnPrimary' ? 'primary' : `replica, ${REPLICA_DELAY_MS} ms behind`
  return [
    [`${where}: stale in Redis`, (t) => t[which].staleInRedis, 0],
    ['in some app', (t) => t[which].staleInSomeApp, 0],
    ['late reads, %', (t) => (100 * t[which].lateReads) / t[which].reads, 2],
    ['latest, ms', (t) => t[which].latestMs, 0],
  ]
})

/** Medians of the rounds with their spread, and what each is to Tidemark's and to bare ioredis. */
export function reportText(report: Report): string {
  const { cpu, cores, node, rounds, versions, turns } = report
  const libraries = [...new Set(turns.map(({ library }) => library))].toSorted()
  return [
    `${cores} cores (${cpu}), Node ${node}, ${rounds} rounds; ${Object.entries(versions)
      .map((v) => v.join(' '))
      .join(', ')}`,
    table(turns, libraries, SPEED),
    `of ${turns[0]?.raceOnPrimary.rows} rows, when nobody writes any more:`,
    table(turns, libraries, RACE),
    'times tidemark / times bare ioredis, by the medians:',
    ratios(turns, libraries),
  ].join('\n\n')
}

function table(turns: readonly Turn[], libraries: readonly string[], columns: readonly Column[]): string {
  const rows = libraries.map((library) => [library, ...columns.map((column) => cellOf(turns, library, column))])
  return markdown(['', ...columns.map(([heading]) => heading)], rows)
}

function cellOf(turns: readonly Turn[], library: string, [, of, digits]: Column): string {
  const values = valuesOf(turns, library, of)
  if (values.length === 0) return '–'
  const [least, most] = [Math.min(...values), Math.max(...values)].map((v) => v.toFixed(digits))
  const middle = median(values).toFixed(digits)
  return least === most ? middle : `${middle} (${least}–${most})`
}

function ratios(turns: readonly Turn[], libraries: readonly string[]): string {
  const columns = SPEED.filter(([heading]) => heading !== 'loads')
  const of = (library: string, [, value]: Column) => median(valuesOf(turns, library, value))
  const rows = libraries.map((library) => [
    library,
    ...columns.map((c) => ['tidemark', 'bare ioredis'].map((other) => ratio(of(library, c), of(other, c))).join(' / ')),
  ])
  return markdown(['', ...columns.map(([heading]) => heading)], rows)
}

function ratio(a: number, b: number): string {
  return Number.isFinite(a / b) ? (a / b).toFixed(2) : '–'
}

function valuesOf(turns: readonly Turn[], library: string, of: (turn: Turn) => number | null): number[] {
  return turns.filter((turn) => turn.library === library).flatMap((turn) => of(turn) ?? [])
}

function markdown(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export function machine(): Pick<Report, 'node' | 'cores' | 'cpu'> {
  const all = cpus()
  return { node: process.versions.node, cores: all.length, cpu: all[0]?.model.trim() ?? 'unknown' }
}
