import { PostgresServer } from '@tidemark/local'
import { BulkRun, type Passage } from './bulk-run.ts'

/** What the settings let a publisher hold beside what it needs when idle; see its README, "Memory". */
const MAX_BUFFER_MB = 16
const KEYSPACES = 2
const MAX_KEYS = 10_000
const KEY_BYTES = 128
const PROJECTIONS_MB = 8
/** What the heap grows by under load before V8 collects, measured; it does not grow with a transaction's size. */
const COLLECTOR_MB = 48

const KEYS_MB = (KEYSPACES * MAX_KEYS * KEY_BYTES) / 1024 / 1024

export const MAX_GROWTH_MB = Math.ceil(MAX_BUFFER_MB + KEYS_MB + PROJECTIONS_MB) + COLLECTOR_MB

export interface BulkReport {
  readonly idlePeakMb: number
  readonly passages: readonly Passage[]
  readonly floors: readonly string[]
  readonly events: number
  readonly restarts: number
}

type Kind = 'inserted' | 'inserted, rolled back' | 'inserted where nothing is published' | 'updated'

export const KINDS: readonly Kind[] = [
  'inserted',
  'inserted, rolled back',
  'inserted where nothing is published',
  'updated',
]

/** One bulk transaction of each kind, in this order, each of that many rows, through one publisher that allows such a silence. */
export async function bulkReport(rows: number, kinds: readonly Kind[], silenceMs: number): Promise<BulkReport> {
  await using server = await PostgresServer.start({ durable: false, settings: { logical_decoding_work_mem: '4MB' } })
  await using run = await BulkRun.start(server, silenceMs)
  const idlePeakMb = await run.idlePeakMb()
  const passages: Passage[] = []
  for (const kind of kinds) passages.push(await run.pass(kind, rows, statementsOf(kind, rows)))
  return { idlePeakMb, passages, ...(await run.published()), restarts: await run.restarts() }
}

function statementsOf(kind: Kind, rows: number): string[] {
  const fill = (table: string, from: number) =>
    `insert into ${table} select n, n, 'filler' from generate_series(${from}, ${from + rows - 1}) n`
  switch (kind) {
    case 'inserted':
      return [fill('bulk', 1)]
    case 'inserted, rolled back':
      return ['begin', fill('bulk', rows + 1), 'rollback']
    case 'inserted where nothing is published':
      return [fill('elsewhere', 1)]
    case 'updated':
      return ['update bulk set n = n + 1']
  }
}

/** For a person: one line a passage. */
export function reportText({ idlePeakMb, passages }: BulkReport): string {
  const lines = passages.map((p) => `${p.rows} rows ${p.what}: peak ${p.peakMb} MiB, confirmed after ${p.seconds} s`)
  return [`idle: peak ${idlePeakMb} MiB (bound of growth: ${MAX_GROWTH_MB} MiB)`, ...lines].join('\n')
}
