import { floorOf, type View } from '@tidemark/guard'
import { covers, maxPosition } from '@tidemark/protocol'
import { type CommitHistory, newestCovered, type TimedCommit } from '../evidence/commit-history.ts'
import { brokenPromises, tooOld, untrue } from '../evidence/reading-check.ts'
import type { PartitionSample, SampledKey } from './partition-samples.ts'
import type { Span } from './region.ts'
import type { RegionEvidence } from './region-run.ts'

type History = CommitHistory<TimedCommit>

/** What of the evidence can break a rule. */
export type Lawfulness = Pick<
  RegionEvidence,
  'source' | 'history' | 'readings' | 'sessions' | 'samples' | 'losses' | 'staleCells'
>

/** Every breach of the protocol in what was read and in what Redis held, in words, the rule first. */
export function breaches(evidence: Lawfulness): string[] {
  const { history, readings, sessions, samples, losses, staleCells, source } = evidence
  return [
    ...readings.flatMap((reading) => untrue(reading, history)),
    ...readings.flatMap((reading) => {
      const { maxStalenessMs } = source.keyspaces[reading.keyspace].contract
      return tooOld(reading, history, maxStalenessMs)
    }),
    ...sessions.flatMap((steps) => brokenPromises(steps, history)),
    ...samples.flatMap((sample) => unlawful(sample, history)),
    ...wentBack(samples, losses),
    ...staleCells.map((cell) => `I4: ${cell} remains`),
  ]
}

/**
 * Every commit that the watermark covers has been applied in this Redis (I3): its tombstone is there, unless the horizon
 * or a floor stands for it; and no value lives that does not cover it (I2).
 */
function unlawful({ partition, view, keys }: PartitionSample, history: History): string[] {
  if (view === null || view.gap !== undefined) return []
  return keys.flatMap((sampled) => {
    const commits = history.get(String(sampled.key.id)) ?? []
    const covered = newestCovered(commits, view.watermark)
    if (covered === undefined) return []
    return faults(sampled, view, covered).map((fault) => {
      return `${fault}: ${sampled.key.key}, partition ${partition} at ${view.watermark}, offset ${view.offset}`
    })
  })
}

function faults({ key, cell, tombstone }: SampledKey, view: View, covered: TimedCommit): string[] {
  const floor = floorOf(view, key.keyspace)
  const found: string[] = []
  const isStoodFor = covers(maxPosition(view.horizon, floor), covered.version)
  if (!isStoodFor && (tombstone === null || tombstone < covered.version)) {
    found.push(`I3: the watermark covers ${covered.version}, and the tombstone is ${tombstone}`)
  }
  if (cell?.state !== 'live' || cell.label.low < floor) return found
  if (!covers(cell.label.low, covered.version)) {
    found.push(`I2: a live value from ${cell.label.low} on, and the watermark covers ${covered.version}`)
  }
  if (cell.n < covered.n) found.push(`I3: the live value ${cell.n}, and the watermark covers ${covered.n}`)
  return found
}

/** A view goes back with the Redis that holds it, and never otherwise (I6). */
function wentBack(samples: readonly PartitionSample[], losses: readonly Span[]): string[] {
  const found: string[] = []
  for (const [partition, own] of Map.groupBy(samples, (s) => s.partition)) {
    for (const [i, after] of own.entries()) {
      const before = own[i - 1]
      if (!before || losses.some((loss) => loss.fromMs <= after.endedMs && loss.untilMs >= before.beganMs)) continue
      for (const field of fieldsBack(before.view, after.view)) found.push(`I6: ${field} of partition ${partition}`)
    }
  }
  return found
}

function fieldsBack(before: View | null, after: View | null): string[] {
  if (before === null) return []
  if (after === null) return ['the view']
  const fields = (['epoch', 'watermark', 'newest', 'horizon', 'beat', 'offset'] as const).filter(
    (field) => after[field] < before[field],
  )
  const floors = Object.keys(before.floors).filter((name) => (after.floors[name] ?? '') < before.floors[name]!)
  return [...fields, ...floors.map((name) => `the floor of ${name}`)]
}
