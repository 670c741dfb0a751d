import { BranchingHistory, type EpochOfTimeline, type NotedReading, type SessionStep } from './branching-history.ts'
import type { PrimaryServer } from './primary-server.ts'
import type { PromotionReaders } from './promotion-readers.ts'

type Class = 'before' | 'during' | 'after'

export interface PromotionReport {
  readonly falsehoods: readonly string[]
  readonly brokenPromises: readonly string[]
  /** Fresh readings of values that the last primary never had, by the announcement of its epoch. */
  readonly abandoned: Readonly<Record<Class, number>>
  /** Sessions that had seen such a value and went on reading after the announcement. */
  readonly sessionsThatSawLost: number
  readonly epochs: readonly EpochOfTimeline[]
  readonly summary: string
}

/** Holds what was read against all that was committed. Of the primaries, the last one's history is what remains. */
export async function reportOf(
  readers: PromotionReaders,
  primaries: readonly PrimaryServer[],
): Promise<PromotionReport> {
  const last = primaries.at(-1)!
  const epochs = await allEpochs(primaries)
  const branches = await Promise.all(primaries.map((p) => p.branch()))
  const history = new BranchingHistory(branches, epochs, await last.branch())
  const { readings, sessions, refused } = readers
  const announced = Math.min(...epochs.filter((e) => e.timeline === last.timeline).map((e) => e.epoch))
  const abandoned = { before: 0, during: 0, after: 0 }
  const counts: Record<string, number> = { refused }
  for (const reading of readings) {
    const at = classOf(reading, announced)
    const isAbandoned = history.isAbandoned(reading.id, reading.n)
    if (reading.freshness === 'fresh' && isAbandoned) abandoned[at] += 1
    const name = `${at}, ${reading.freshness} ${isAbandoned ? 'abandoned' : 'kept'} from ${reading.from}`
    counts[name] = (counts[name] ?? 0) + 1
  }
  const lostTo = (steps: readonly SessionStep[]) => sawLost(steps, history, announced)
  const falsehoods = readings.filter((r) => r.freshness === 'fresh').map((r) => history.falsehoodIn(r))
  return {
    falsehoods: falsehoods.filter((f) => f !== null),
    brokenPromises: sessions.flatMap((steps) => history.brokenPromises(steps)),
    abandoned,
    sessionsThatSawLost: sessions.filter(lostTo).length,
    epochs,
    summary: JSON.stringify({ ...counts, sessions: sessions.length, epochs }),
  }
}

/** A server that was abandoned may have epochs that the last one never heard of. */
async function allEpochs(primaries: readonly PrimaryServer[]): Promise<EpochOfTimeline[]> {
  const all = new Map<string, EpochOfTimeline>()
  for (const primary of primaries) {
    if (!primary.server.isRunning) await primary.server.start()
    for (const row of await primary.epochs()) all.set(`${row.epoch} ${row.timeline}`, row)
  }
  return [...all.values()].sort((a, b) => a.epoch - b.epoch)
}

/** By the announcement of an epoch to the row's partition: the read ended before it, spans it, or began after it. */
function classOf({ epochBefore, epochAfter }: NotedReading, announced: number): Class {
  if (epochBefore >= announced) return 'after'
  return epochAfter >= announced ? 'during' : 'before'
}

function sawLost(steps: readonly SessionStep[], history: BranchingHistory, announced: number): boolean {
  const readings = steps.flatMap((s) => (s.kind === 'read' ? [s.reading] : []))
  const at = readings.findIndex((r) => history.isAbandoned(r.id, r.n))
  return at >= 0 && readings.slice(at + 1).some((r) => r.epochBefore >= announced)
}
