import { cpus, loadavg } from 'node:os'
import { REPLICA_DELAY_MS } from './bench-stage.ts'
import { median } from './speed.ts'
import type { Turn } from './turn.ts'

export interface Machine {
  readonly cores: number
  readonly cpu: string
}

export interface Report extends Machine {
  readonly startedAt: string
  /** How many wanted a core in the minute before, and in the last one: what the figures were disturbed by. */
  readonly load: { readonly before: number; readonly after: number }
  readonly versions: Readonly<Record<string, string>>
  readonly rounds: number
  readonly turns: readonly Turn[]
}

interface Column {
  readonly heading: string
  of(turn: Turn): number | null
  readonly digits: number
}

const RACE = (['raceOnPrimary', 'raceOnReplica'] as const).map((which): readonly Column[] => [
  { heading: 'stale in Redis', of: (t) => t[which].staleInRedis, digits: 0 },
  { heading: 'in some app', of: (t) => t[which].staleInSomeApp, digits: 0 },
  { heading: 'late reads, %', of: (t) => (100 * t[which].lateReads) / t[which].reads, digits: 1 },
  { heading: 'latest, ms', of: (t) => t[which].latestMs, digits: 0 },
])

const HERD: readonly Column[] = [
  { heading: '1,000 readers, ms', of: (t) => t.speed.herd.ms, digits: 0 },
  { heading: 'loads', of: (t) => t.speed.herd.loads, digits: 1 },
  { heading: 'in 4 apps, ms', of: (t) => t.speed.herdOfFour.ms, digits: 0 },
  { heading: 'loads', of: (t) => t.speed.herdOfFour.loads, digits: 1 },
]

const SPEED: readonly Column[] = [
  { heading: 'L1 hits, 1,000/s', of: (t) => t.speed.memory && t.speed.memory.perSecond / 1_000, digits: 0 },
  { heading: 'CPU µs', of: (t) => t.speed.memory?.cpuUs ?? null, digits: 1 },
  { heading: 'L2 hit, µs', of: (t) => t.speed.redis.medianUs, digits: 0 },
  { heading: 'L2 hits, /s', of: (t) => t.speed.redis.perSecond, digits: 0 },
  { heading: 'CPU µs', of: (t) => t.speed.redis.cpuUs, digits: 0 },
  { heading: 'miss, µs', of: (t) => t.speed.miss.medianUs, digits: 0 },
  { heading: 'misses, /s', of: (t) => t.speed.miss.perSecond, digits: 0 },
  { heading: 'CPU µs', of: (t) => t.speed.miss.cpuUs, digits: 0 },
]

/** The tables of refill's docs/benchmark.md: medians of the rounds with their least and most. */
export function reportText(report: Report): string {
  const { turns } = report
  const [onPrimary, onReplica] = RACE as [readonly Column[], readonly Column[]]
  return [
    conditions(report),
    `Of ${turns[0]?.raceOnPrimary.rows} rows, with loads from the primary:`,
    table(turns, onPrimary),
    `With loads from a replica that is ${REPLICA_DELAY_MS} ms behind:`,
    table(turns, onReplica),
    'A herd on a cold key:',
    table(turns, HERD),
    'Hits and misses:',
    table(turns, SPEED),
    'Times bare ioredis / times tidemark, by the medians:',
    ratios(turns),
  ].join('\n\n')
}

function conditions({ startedAt, load, cpu, cores, rounds, versions }: Report): string {
  const software = Object.entries(versions).map((version) => version.join(' '))
  const machine = `${cores} cores (${cpu}), load average ${load.before.toFixed(1)} before and ${load.after.toFixed(1)} after`
  return `${startedAt}, ${rounds} rounds, ${machine}; ${software.join(', ')}`
}

function table(turns: readonly Turn[], columns: readonly Column[]): string {
  const rows = librariesIn(turns).map((library) => [library, ...columns.map((c) => cellOf(turns, library, c))])
  return markdown(['', ...columns.map(({ heading }) => heading)], rows)
}

function librariesIn(turns: readonly Turn[]): string[] {
  return [...new Set(turns.map(({ library }) => library))]
}

function cellOf(turns: readonly Turn[], library: string, { of, digits }: Column): string {
  const values = valuesOf(turns, library, of)
  if (values.length === 0) return '–'
  const text = (value: number) =>
    value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const [least, most] = [text(Math.min(...values)), text(Math.max(...values))]
  return least === most ? least : `${text(median(values))} (${least}–${most})`
}

function ratios(turns: readonly Turn[]): string {
  const of = (library: string, column: Column) => median(valuesOf(turns, library, column.of))
  const to = (library: string, column: Column) =>
    ['bare ioredis', 'tidemark'].map((other) => ratio(of(library, column), of(other, column))).join(' / ')
  const rows = librariesIn(turns).map((library) => [library, ...SPEED.map((column) => to(library, column))])
  return markdown(['', ...SPEED.map(({ heading }) => heading)], rows)
}

function ratio(a: number, b: number): string {
  return Number.isFinite(a / b) ? (a / b).toFixed(2) : '–'
}

function valuesOf(turns: readonly Turn[], library: string, of: Column['of']): number[] {
  return turns.filter((turn) => turn.library === library).flatMap((turn) => of(turn) ?? [])
}

function markdown(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  return [headings, headings.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

export function machine(): Machine {
  const all = cpus()
  return { cores: all.length, cpu: all[0]?.model.trim() ?? 'unknown' }
}

/** The load average of the last minute. */
export function currentLoad(): number {
  return loadavg()[0]!
}
