import { floorOf, type Inspection, offsetOf, type View } from '@tidemark/guard'
import { type Keyspace, ORIGIN, type Position } from '@tidemark/protocol'
import { durationText } from '../amount.ts'
import type { Answer, Named } from '../facts/parts.ts'
import { positionText } from '../position-text.ts'
import type { Coherence } from './coherence.ts'
import type { InspectReport } from './inspect-report.ts'
import type { EventSearch, FoundEvent } from './newest-event.ts'
import type { RegionSight } from './region-sight.ts'
import type { RowFacts } from './row-facts.ts'
import { servingText } from './serving-text.ts'
import { valueText } from './value-text.ts'

type Line = readonly [string, string]

export function inspectText(report: InspectReport, nowMs: number): string {
  const { key, keyspace, partition, regions, newest, rows } = report
  const found = 'facts' in newest ? newest.facts.found : null
  const parts = [
    `${key}: keyspace ${keyspace.name} (${keyspace.template.text}), partition ${partition}`,
    ...regions.map((region) => regionText(region, report, nowMs)),
    linesText('source', [...orFailure('event', newest, newestLines), ...orFailure('row', rows, rowLines)]),
    ...regions.flatMap((region) => staleText(region, found)),
  ]
  return parts.join('\n\n')
}

function regionText(
  region: Named<RegionSight & { coherence: Coherence }>,
  report: InspectReport,
  nowMs: number,
): string {
  const lines = orFailure('redis', region, ({ inspection, value, coherence }) => [
    ...viewLines(inspection.view, report.keyspace, nowMs),
    ['cell', cellText(inspection, nowMs)],
    ...valueLines(inspection.cell, nowMs),
    ...(value === undefined ? [] : ([['', value]] as const)),
    ['lease', leaseText(inspection)],
    ['tombstone', tombstoneText(inspection)],
    ['served', servingText(coherence.verdict, inspection, report.keyspace)],
    ['refill', refillText(coherence.required, report.replicas)],
  ])
  return linesText(`region ${region.name}`, lines)
}

function orFailure<T>(name: string, answer: Answer<T>, lines: (facts: T) => readonly Line[]): readonly Line[] {
  return 'facts' in answer ? lines(answer.facts) : [[name, `does not answer: ${answer.failure.replaceAll('\n', ' ')}`]]
}

function linesText(title: string, lines: readonly Line[]): string {
  const width = Math.max(...lines.map(([name]) => name.length))
  return [title, ...lines.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`)].join('\n')
}

function viewLines(view: Inspection['view'], keyspace: Keyspace, nowMs: number): readonly Line[] {
  if (view === null) return [['view', 'none: no worker has been here, or Redis has lost it']]
  if (view === 'malformed') return [['view', 'not of our format: find what else writes under the key prefix']]
  const age = durationText(Math.max(0, nowMs - view.beat))
  return [
    [
      'view',
      `epoch ${Number.parseInt(view.epoch, 16)}, next offset ${offsetOf(view)}, last beat ${age} ago${gapText(view)}`,
    ],
    ['', `watermark ${positionText(view.watermark)}, newest ${positionText(view.newest)}`],
    ['', `horizon ${positionText(view.horizon)}, floor ${positionText(floorOf(view, keyspace.name))}`],
  ]
}

function gapText({ gap }: View): string {
  return gap === undefined ? '' : `, IN A GAP: ${gap}`
}

function cellText({ cell, remainingMs }: Inspection, nowMs: number): string {
  if (cell === null) return 'no value'
  if (cell === 'malformed') return 'not of our format: find what else writes under the key prefix'
  const { label, loadedAt, state } = cell
  const loaded =
    loadedAt === null ? 'not loaded from the primary' : `loaded ${durationText(Math.max(0, nowMs - loadedAt))} ago`
  const left = remainingMs === null ? 'no time to live' : `${durationText(remainingMs)} left`
  const bounds = `[${positionText(label.low)}, ${positionText(label.high)}]`
  return `${state === 'live' ? 'live' : 'stale, retained'}, ${bounds}, ${loaded}, ${left}`
}

function valueLines(cell: Inspection['cell'], nowMs: number): readonly Line[] {
  return cell === null || cell === 'malformed' ? [] : [['value', valueText(cell.value, nowMs)]]
}

function leaseText({ lease, serverTimeMs }: Inspection): string {
  if (lease === null) return 'none'
  const leftMs = lease.endsAtMs - serverTimeMs
  return leftMs > 0 ? `out for ${durationText(leftMs)} more` : `out, and over for ${durationText(-leftMs)}`
}

function tombstoneText({ generations }: Inspection): string {
  const found = generations.flatMap(({ tombstone }, slot) => {
    if (tombstone === null) return []
    return [
      tombstone === 'malformed' ? `not of our format in ${slot}` : `${positionText(tombstone)} in generation ${slot}`,
    ]
  })
  return found.length === 0 ? 'none' : found.join(', ')
}

function refillText(required: Position | null, replicas: InspectReport['replicas']): string {
  if (required === null) return 'nothing can be cached now'
  const from = replicas.map((replica) => {
    if (!('facts' in replica)) return `replica ${replica.name} does not answer`
    const { position } = replica.facts
    if (position === null) return `replica ${replica.name} has no epoch yet`
    const far = position >= required ? 'far enough' : 'TOO FAR BEHIND'
    return `replica ${replica.name} stands at ${positionText(position)}: ${far}`
  })
  const needs = required === ORIGIN ? 'any source will do' : `needs a source that has reached ${positionText(required)}`
  return [needs, ...from, 'the primary always serves'].join('; ')
}

function newestLines({ found, searched, isAll }: EventSearch): readonly Line[] {
  if (found) {
    const at = new Date(found.committedAtMs).toISOString()
    return [['event', `${positionText(found.version)}, committed ${at}, at offset ${found.offset}`]]
  }
  const where = isAll ? `the topic has none among all ${searched} records` : `none among the last ${searched} records`
  return [['event', isAll ? where : `${where}: look further with --search`]]
}

function rowLines(rows: readonly RowFacts[]): readonly Line[] {
  return rows.map(({ table, row }) => [`row`, `${table}: ${rowText(row)}`])
}

function rowText(row: RowFacts['row']): string {
  if (row === 'not-readable') return 'the role of TIDEMARK_PRIMARY_URL may not read it'
  if (row === 'none') return 'no such row'
  const { xmin, committedAt } = row
  const when =
    committedAt === null ? 'when is not known (track_commit_timestamp is off, or it is long ago)' : committedAt
  return `written by transaction ${xmin}, ${when}`
}

function staleText(region: Named<RegionSight & { coherence: Coherence }>, newest: FoundEvent | null): string[] {
  if (!('facts' in region) || !region.facts.coherence.isStale || newest === null) return []
  return [
    `STALE in ${region.name}: the live cell does not cover ${positionText(newest.version)}, which the watermark covers ` +
      '(I2 is broken). Somebody else writes to this Redis. Mend it: tidemark purge KEY, and tidemark replay for what else ' +
      'may be affected',
  ]
}
