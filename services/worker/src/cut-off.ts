import { alarmAfterMs, type Contract, type Keyspace } from '@tidemark/protocol'
import type { WorkerReadings } from '@tidemark/telemetry'
import type { PartitionBeat } from './beat.ts'

/** Why a region is not current, and for how long by now. */
export interface Delay {
  /** Cut off: no beat comes. Behind: beats come, but old ones, as while a backlog is caught up with. */
  readonly kind: 'cut off' | 'behind'
  readonly partitions: readonly number[]
  /** Of the partition that is worst off: the silence, or the age of its view. */
  readonly forMs: number
}

export interface DelayTerms {
  /** From which age on a region is not current. */
  readonly stallMs: number
  /** How far the primary's clock and this machine's may differ; a silence is measured by one clock. */
  readonly clockSkewMs: number
}

/** Null for a region that is current, or a worker that holds nothing of it. */
export function delayOf(beats: readonly PartitionBeat[], { stallMs, clockSkewMs }: DelayTerms): Delay | null {
  return (
    worst('cut off', beats, ({ silentMs }) => silentMs, stallMs) ??
    worst('behind', beats, ({ viewAgeMs }) => viewAgeMs ?? 0, stallMs + clockSkewMs)
  )
}

function worst(
  kind: Delay['kind'],
  beats: readonly PartitionBeat[],
  ageOf: (beat: PartitionBeat) => number,
  limitMs: number,
): Delay | null {
  const late = beats.filter((beat) => ageOf(beat) > limitMs)
  if (late.length === 0) return null
  return { kind, partitions: late.map(({ partition }) => partition), forMs: Math.max(...late.map(ageOf)) }
}

/** A keyspace whose values may be older than its criticality bears. */
export interface Alarm {
  readonly keyspace: string
  readonly criticality: Contract['criticality']
  /** How long it has been in alarm. */
  readonly forMs: number
}

/** Which keyspaces are in alarm. Each has keys in every partition, so the one that is worst off counts. */
export function alarmsOf(beats: readonly PartitionBeat[], keyspaces: readonly Keyspace[]): Alarm[] {
  // Where no beat is known the silence is: the view is at least as old, if there is one.
  const ageMs = Math.max(0, ...beats.map(({ silentMs, viewAgeMs }) => Math.max(silentMs, viewAgeMs ?? 0)))
  return keyspaces.flatMap(({ name, contract }) => {
    const forMs = ageMs - alarmAfterMs(contract)
    return forMs > 0 ? [{ keyspace: name, criticality: contract.criticality, forMs }] : []
  })
}

/** What a scrape is told; a worker that holds no partition knows nothing of the region. */
export function readingsOf(beats: readonly PartitionBeat[], keyspaces: readonly Keyspace[]): WorkerReadings {
  if (beats.length === 0) return {}
  const inAlarm = new Set(alarmsOf(beats, keyspaces).map(({ keyspace }) => keyspace))
  const ages = beats.map(({ viewAgeMs }) => viewAgeMs)
  return {
    beatAgeSeconds: Math.max(...beats.map(({ silentMs }) => silentMs)) / 1000,
    // The oldest is not known while one is not.
    viewAgeSeconds: ages.every((ms) => ms !== undefined) ? Math.max(...ages) / 1000 : undefined,
    gapsOpen: beats.filter(({ inGap }) => inGap).length,
    stalenessAlarms: Object.fromEntries(keyspaces.map(({ name }) => [name, inAlarm.has(name)])),
  }
}

/** The delay in a sentence, for `/readyz` and the log. */
export function sentenceOf({ kind, partitions, forMs }: Delay, alarms: readonly Alarm[], nowMs: number): string {
  const since = `since ${new Date(nowMs - forMs).toISOString()} (${Math.round(forMs)} ms)`
  const why = kind === 'cut off' ? 'no beat' : 'beats come, but the view is no newer'
  const alarm = alarms.map(({ keyspace }) => keyspace).join(', ') || 'no keyspace'
  return `${kind} ${since}: ${why} on partitions ${partitions.join(', ')}; in alarm: ${alarm}`
}
