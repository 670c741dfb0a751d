import { DEFAULT_TOMBSTONE_BOUNDS, type View } from '@tidemark/guard'
import type { Source } from '@tidemark/protocol'
import { bytesText, durationText } from '../amount.ts'
import type { ClusterFacts, RedisFacts, RedisServerFacts } from '../facts/redis-facts.ts'
import type { Finding, Severity } from './finding.ts'

const LEAST_REDIS = [6, 2] as const
/** A key and its version in a hash, roughly. */
const TOMBSTONE_BYTES = 150
/** A watermark moves several times a second. */
const OLD_BEAT_MS = 10_000
const SLOTS = 16_384

type Found = readonly [severity: Severity, check: string, what: string, breaks: string, mend: string]

/** @param epoch the newest of the source, undefined when it is not known */
export function redisFindings(
  region: string,
  source: Source,
  facts: RedisFacts,
  epoch: number | undefined,
  nowMs: number,
): Finding[] {
  const ofServers = facts.servers.flatMap((server) => serverMistakes(server, facts.servers.length))
  const found = [
    ...(facts.cluster ? clusterMistakes(source, facts.cluster, facts.servers.length) : []),
    // What is wrong with each server of a cluster is told once.
    ...new Map(ofServers.map((mistake) => [mistake[2], mistake])).values(),
    ...viewMistakes(facts.views, epoch, nowMs),
  ]
  const where = `redis ${region}`
  return found.map(([severity, check, what, breaks, mend]) => ({ severity, check, where, what, breaks, mend }))
}

function clusterMistakes({ partitions }: Source, { isUp, slotsUp }: ClusterFacts, masters: number): Found[] {
  const mistakes: Found[] = []
  if (!isUp || slotsUp < SLOTS) {
    const what = `the cluster is ${isUp ? 'up' : 'down'}, with ${slotsUp} of ${SLOTS} slots served`
    const breaks = 'the partitions in the others are neither invalidated nor cached'
    const mend = 'Bring their servers back, or redis-cli --cluster fix'
    mistakes.push(['error', 'redis-slots', what, breaks, mend])
  }
  if (masters > partitions) {
    const what = `it has ${masters} masters for ${partitions} partitions`
    const mend = 'Make another topic with more partitions: a new source name, for their number is for good'
    mistakes.push(['info', 'redis-shards', what, 'some of them hold nothing', mend])
  }
  return mistakes
}

function serverMistakes(server: RedisServerFacts, servers: number): Found[] {
  if (server.isLoading) {
    const breaks = 'until it has, every read goes to the database'
    return [['error', 'redis-loading', 'it is still loading its data', breaks, 'Wait']]
  }
  const mistakes: Found[] = []
  if (isTooOld(server)) {
    const breaks = 'the scripts use commands that it does not have'
    mistakes.push(['error', 'redis-version', `it is version ${server.version}`, breaks, 'Upgrade to 6.2 or newer'])
  }
  if (server.isReplica) {
    const mend = 'Name the master, or better its Sentinels: redis-sentinel://'
    mistakes.push(['error', 'redis-replica', 'it is a replica', 'the worker cannot write to it', mend])
  }
  if (server.failsToSave) {
    const breaks = 'it refuses writes, unless stop-writes-on-bgsave-error is no: views grow old'
    const mend = 'CONFIG SET save "": nothing of Tidemark’s needs to be saved; or mend its disk'
    mistakes.push(['warning', 'redis-unsaved', 'it could not write its data to disk', breaks, mend])
  }
  return [...mistakes, ...memoryMistakes(server, servers), ...replicationMistakes(server)]
}

/** Valkey began at 7.2. */
function isTooOld({ product, version }: RedisServerFacts): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return product === 'Redis' && (major < LEAST_REDIS[0] || (major === LEAST_REDIS[0] && minor < LEAST_REDIS[1]))
}

/** What lies in Redis for good: views and tombstones, which have no time to live. */
function memoryMistakes({ evictionPolicy, maxMemoryBytes }: RedisServerFacts, servers: number): Found[] {
  const isSafe = evictionPolicy.startsWith('allkeys-')
  if (maxMemoryBytes === 0 || isSafe) return []
  const lasting = (DEFAULT_TOMBSTONE_BOUNDS.maxTombstones / servers) * TOMBSTONE_BYTES
  const isVolatile = evictionPolicy.startsWith('volatile-')
  // It evicts cells alone, which is best where it finds enough of them.
  if (isVolatile && maxMemoryBytes >= lasting) return []
  const what = isVolatile
    ? `maxmemory-policy is ${evictionPolicy}, and tombstones, which have no time to live, ` +
      `may take ${bytesText(lasting)} of ${bytesText(maxMemoryBytes)}`
    : `maxmemory-policy is ${evictionPolicy}`
  const breaks = 'when it is full, writes fail: invalidations are not applied, and nothing is fresh any more'
  const mend =
    'CONFIG SET maxmemory-policy allkeys-lfu: whatever is evicted, nothing stale is served; ' +
    'a tombstone or a view costs refills from the primary'
  return [['warning', 'redis-eviction', what, breaks, isVolatile ? `${mend}; or raise maxmemory` : mend]]
}

function replicationMistakes({ replicas, minReplicasToWrite }: RedisServerFacts): Found[] {
  if (replicas === 0 || minReplicasToWrite !== 0) return []
  const what = `it has ${replicas} replica(s), and min-replicas-to-write is 0`
  const breaks =
    'a master that a failover left behind goes on: who reaches only it is told of old views, not of the end'
  const mend = 'CONFIG SET min-replicas-to-write 1 with two replicas or more: it then refuses writes by itself'
  return [['info', 'redis-min-replicas', what, breaks, mend]]
}

const START_WORKER = 'See whether a worker of the region runs, and what its log says'

/** The worst of what the views say: each kind of trouble is the next one's as well. */
function viewMistakes(views: RedisFacts['views'], epoch: number | undefined, nowMs: number): Found[] {
  if (views === undefined) return []
  const count = (of: (view: View) => boolean) => views.filter((view) => view !== null && of(view)).length
  const missing = views.filter((view) => view === null).length
  const all = `of ${views.length} partitions`
  if (missing > 0) {
    const what = `${missing} ${all} have no view`
    return [['warning', 'view-missing', what, 'nothing of theirs is cached', START_WORKER]]
  }
  const gaps = count((view) => view.gap !== undefined)
  if (gaps > 0) {
    const breaks = 'nothing of theirs is fresh before the next watermark'
    const mend = `${START_WORKER}, and whether the publisher does`
    return [['warning', 'view-gap', `${gaps} ${all} have a gap`, breaks, mend]]
  }
  const former = epoch === undefined ? 0 : count((view) => Number.parseInt(view.epoch, 16) < epoch)
  if (former > 0) {
    const breaks = 'what is loaded in the new epoch is not cached there yet'
    const what = `${former} ${all} are of an older epoch than ${epoch}`
    return [['warning', 'view-epoch', what, breaks, START_WORKER]]
  }
  const oldest = Math.min(...views.map((view) => view?.beat ?? nowMs))
  if (nowMs - oldest <= OLD_BEAT_MS) return []
  const what = `the oldest watermark of ${views.length} partitions is ${durationText(nowMs - oldest)} old`
  const mend = `${START_WORKER}, and whether the publisher does; if both do, compare the clocks`
  return [['warning', 'view-old', what, 'values are taken for older than their contracts allow', mend]]
}
