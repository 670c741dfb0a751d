import { DEFAULT_TOMBSTONE_LIMITS, GENERATIONS, type View } from '@tidemark/guard'
import type { Source } from '@tidemark/protocol'
import { bytesText, durationText } from '../amount.ts'
import type { RedisFacts } from '../facts/redis-facts.ts'
import type { Finding, Severity } from './finding.ts'

const LEAST_VERSION = [6, 2] as const
/** A key and its version in a hash, roughly. */
const TOMBSTONE_BYTES = 150
/** A watermark moves several times a second. */
const OLD_BEAT_MS = 10_000

/** @param epoch the newest of the source, undefined when it is not known */
export function redisFindings(
  region: string,
  source: Source,
  facts: RedisFacts,
  epoch: number | undefined,
  nowMs: number,
): Finding[] {
  const found = (severity: Severity, check: string, what: string, breaks: string, mend: string): Finding => ({
    ...{ severity, check, where: `redis ${region}` },
    ...{ what, breaks, mend },
  })
  if (facts.isLoading) {
    const breaks = 'until it has, every read goes to the database'
    return [found('error', 'redis-loading', 'it is still loading its data', breaks, 'Wait')]
  }
  const findings: Finding[] = []
  if (isOlder(facts.version)) {
    const breaks = 'the scripts use commands that it does not have'
    findings.push(found('error', 'redis-version', `it is version ${facts.version}`, breaks, 'Upgrade to 6.2 or newer'))
  }
  if (facts.isReplica) {
    const breaks = 'the worker cannot write to it'
    findings.push(found('error', 'redis-replica', 'it is a replica', breaks, 'Name the primary of the region'))
  }
  const memory = memoryMistake(source, facts)
  if (memory) findings.push(found('warning', 'redis-eviction', ...memory))
  const views = viewMistake(facts.views ?? [], epoch, nowMs)
  if (views) findings.push(found('warning', ...views))
  return findings
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1])
}

type Mistake = readonly [what: string, breaks: string, mend: string]

/** What lies in Redis for good: views and tombstones, which have no time to live. */
function memoryMistake({ partitions }: Source, { evictionPolicy, maxMemoryBytes }: RedisFacts): Mistake | undefined {
  if (maxMemoryBytes === 0) return undefined
  const breaks = 'when it is full, writes fail: invalidations are not applied, and nothing is fresh any more'
  const mend = 'CONFIG SET maxmemory-policy allkeys-lfu: whatever is evicted, nothing stale is served'
  if (evictionPolicy === 'noeviction') return ['maxmemory-policy is noeviction', breaks, mend]
  const lasting = partitions * GENERATIONS * DEFAULT_TOMBSTONE_LIMITS.perGeneration * TOMBSTONE_BYTES
  if (!evictionPolicy.startsWith('volatile-') || maxMemoryBytes >= lasting) return undefined
  const what =
    `maxmemory-policy is ${evictionPolicy}, and tombstones, which have no time to live, ` +
    `may take ${bytesText(lasting)} of ${bytesText(maxMemoryBytes)}`
  return [what, breaks, `${mend}; or raise maxmemory`]
}

type ViewMistake = readonly [check: string, ...Mistake]

const START_WORKER = 'See whether a worker of the region runs, and what its log says'

/** The worst of what the views say: each kind of trouble is the next one's as well. */
function viewMistake(
  views: readonly (View | null)[],
  epoch: number | undefined,
  nowMs: number,
): ViewMistake | undefined {
  const count = (of: (view: View) => boolean) => views.filter((view) => view !== null && of(view)).length
  const missing = views.filter((view) => view === null).length
  const all = `of ${views.length} partitions`
  if (missing > 0) {
    return ['view-missing', `${missing} ${all} have no view`, 'nothing of theirs is cached', START_WORKER]
  }
  const gaps = count((view) => view.gap !== undefined)
  if (gaps > 0) {
    const breaks = 'nothing of theirs is fresh before the next watermark'
    return ['view-gap', `${gaps} ${all} have a gap`, breaks, `${START_WORKER}, and whether the publisher does`]
  }
  const former = epoch === undefined ? 0 : count((view) => Number.parseInt(view.epoch, 16) < epoch)
  if (former > 0) {
    const breaks = 'what is loaded in the new epoch is not cached there yet'
    return ['view-epoch', `${former} ${all} are of an older epoch than ${epoch}`, breaks, START_WORKER]
  }
  const oldest = Math.min(...views.map((view) => view?.beat ?? nowMs))
  if (nowMs - oldest <= OLD_BEAT_MS) return undefined
  const what = `the oldest watermark of ${views.length} partitions is ${durationText(nowMs - oldest)} old`
  const mend = `${START_WORKER}, and whether the publisher does; if both do, compare the clocks`
  return ['view-old', what, 'values are taken for older than their contracts allow', mend]
}
