import type { EvictedKind } from './evicted-keys.ts'
import type { Both, Stored } from './two-sides.ts'
import { MEAN_BYTES } from './weighty-row.ts'

/** What one eviction policy did. */
export interface Phase extends Stored {
  readonly policy: string
  readonly seconds: number
  readonly reads: number
  readonly commits: number
  readonly hitRate: Both<number>
  readonly evicted: Both<Readonly<Record<EvictedKind, number>>>
  readonly horizons: number
  readonly gaps: number
  /** Why Tidemark's reads could not use what its Redis held. */
  readonly misses: Readonly<Record<string, number>>
}

export interface EvictionReport {
  readonly roomMb: number
  readonly rows: number
  readonly phases: readonly Phase[]
  /** Of what was served as fresh in all phases, what was not. */
  readonly falsehoods: readonly string[]
  readonly fresh: number
  readonly refused: number
  /** Cached values that are not their row's, with no write under way: so they stay until their time to live ends. */
  readonly staleAtRest: Both<number>
}

/** For people: what is said of both is Tidemark's / the bare cache's. */
export function reportText({ roomMb, rows, phases, falsehoods, fresh, refused, staleAtRest }: EvictionReport): string {
  const headings = COLUMNS.map(([heading]) => heading)
  const lines = [headings, headings.map(() => '---'), ...phases.map((phase) => COLUMNS.map(([, text]) => text(phase)))]
  const datasetMb = Math.round((rows * MEAN_BYTES) / 1024 / 1024)
  return [
    `${rows} rows of ${MEAN_BYTES} bytes on average, ${datasetMb} MiB, where ${roomMb} MiB may be stored`,
    ...lines.map((cells) => `| ${cells.join(' | ')} |`),
    `served as fresh: ${fresh}, of which false: ${falsehoods.length}; refused: ${refused}`,
    `stale at rest: ${staleAtRest.guarded} / ${staleAtRest.bare}`,
  ].join('\n')
}

const COLUMNS: readonly (readonly [string, (phase: Phase) => string])[] = [
  ['policy', (p) => p.policy],
  ['reads', (p) => String(p.reads)],
  ['per s', (p) => (p.reads / p.seconds).toFixed(0)],
  ['commits per s', (p) => (p.commits / p.seconds).toFixed(0)],
  ['hit rate %', (p) => both(p.hitRate, (share) => (share * 100).toFixed(1))],
  ['entries', (p) => both(p.entries, String)],
  ['bytes each', (p) => both(p.bytesPerEntry, (bytes) => bytes.toFixed(0))],
  ['views, tombstones kB', (p) => (p.overheadBytes / 1000).toFixed(0)],
  ['cells evicted', (p) => both(p.evicted, ({ cell }) => String(cell))],
  ['generations evicted', (p) => String(p.evicted.guarded.generation)],
  ['views evicted', (p) => String(p.evicted.guarded.view)],
  ['horizons raised', (p) => String(p.horizons)],
  ['gaps', (p) => String(p.gaps)],
  ['misses', (p) => wordsOf(p.misses)],
]

function both<T>({ guarded, bare }: Both<T>, text: (of: T) => string): string {
  return `${text(guarded)} / ${text(bare)}`
}

function wordsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([word, count]) => `${word} ${count}`)
    .join(', ')
}
