import { type TombstoneLimits, tombstoneLimits } from '@tidemark/guard'
import { keyspaceOf, type Position, type Source } from '@tidemark/protocol'
import { parseDuration } from '../amount.ts'
import { ArgumentMistakes } from '../argument-mistakes.ts'
import type { Flags } from '../command.ts'
import { parsePositionText } from '../position-text.ts'
import { regionOf } from '../region-choice.ts'
import type { Given, NamedRedis } from '../settings.ts'

/** Where a replay begins. */
export type Start =
  | { readonly kind: 'offset'; readonly offset: bigint }
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'version'; readonly position: Position }

/** What the arguments ask for. */
export interface ReplayTerms {
  readonly region: NamedRedis
  readonly start: Start
  /** All of them unless given. */
  readonly partition: number | undefined
  /** All of them unless given. */
  readonly keyspace: string | undefined
  /** As the workers keep to: more would be Redis' memory, less would drop what they remember. */
  readonly tombstones: TombstoneLimits
}

/** Throws MistakenArguments with all mistakes. */
export function replayTerms(
  flags: Flags,
  source: Source,
  { regions, tombstones }: Pick<Given, 'regions' | 'tombstones'>,
  nowMs: number,
): ReplayTerms {
  const mistakes = new ArgumentMistakes()
  const region = regionOf(flags.region, regions, mistakes)
  const start = startOf(flags, nowMs, mistakes)
  const partition = partitionOf(flags.partition, source, mistakes)
  const keyspace = typeof flags.keyspace === 'string' ? flags.keyspace : undefined
  if (keyspace !== undefined) mistakes.attempt(() => keyspaceOf(source, keyspace))
  mistakes.throwIfAny()
  return {
    ...{ region: region!, start: start!, partition, keyspace },
    tombstones: tombstoneLimits(tombstones, source.partitions),
  }
}

const STARTS = ['from-offset', 'from-time', 'from-version'] as const

function startOf(flags: Flags, nowMs: number, mistakes: ArgumentMistakes): Start | undefined {
  const given = STARTS.filter((name) => flags[name] !== undefined)
  const [name] = given
  if (name === undefined || given.length > 1) {
    mistakes.add(`one of ${STARTS.map((s) => `--${s}`).join(', ')} says where to begin`)
    return undefined
  }
  const start = READ[name](String(flags[name]), nowMs)
  if (start === undefined) mistakes.add(`--${name} ${JSON.stringify(flags[name])}: ${WANTED[name]}`)
  return start
}

const WANTED = {
  'from-offset': 'give a number from 0 on',
  'from-time': 'give a time that has passed: 5m-ago, or with its zone as 2026-01-31T12:00:00Z',
  'from-version': 'give EPOCH/LSN, as 1/16/B374D848',
} as const

const READ = {
  'from-offset': (text: string): Start | undefined =>
    /^\d{1,18}$/.test(text) ? { kind: 'offset', offset: BigInt(text) } : undefined,
  'from-time': (text: string, nowMs: number): Start | undefined => {
    const timeMs = timeOf(text, nowMs)
    return timeMs !== undefined && timeMs <= nowMs ? { kind: 'time', timeMs } : undefined
  },
  'from-version': (text: string): Start | undefined => {
    const position = parsePositionText(text)
    return position === undefined ? undefined : { kind: 'version', position }
  },
}

/** A time without its zone is another one on another machine. */
const ISO_WITH_ZONE = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/

function timeOf(text: string, nowMs: number): number | undefined {
  const agoMs = text.endsWith('-ago') ? parseDuration(text.slice(0, -'-ago'.length)) : undefined
  if (agoMs !== undefined) return nowMs - agoMs
  const timeMs = ISO_WITH_ZONE.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(timeMs) ? undefined : timeMs
}

function partitionOf(given: Flags[string], { partitions }: Source, mistakes: ArgumentMistakes): number | undefined {
  if (given === undefined) return undefined
  const partition = /^\d{1,4}$/.test(String(given)) ? Number(given) : Number.NaN
  if (partition < partitions) return partition
  mistakes.add(`--partition ${JSON.stringify(given)}: there are 0 to ${partitions - 1}`)
  return undefined
}
