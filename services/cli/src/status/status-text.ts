import { offsetOf, type View } from '@tidemark/guard'
import type { TopicFacts } from '@tidemark/kafka'
import { formatLsn, type Source } from '@tidemark/protocol'
import { bytesText, durationText } from '../amount.ts'
import { type Answer, factsOf, type Parts } from '../facts/parts.ts'
import type { RedisFacts } from '../facts/redis-facts.ts'
import type { ReplicaFacts } from '../facts/replica-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'

/** One line a part: what it is called, and how it is. */
export function statusText(source: Source, parts: Parts, nowMs: number): string {
  const topic = factsOf(parts.topic)?.topic
  const lines: (readonly [string, string])[] = [
    ['source', lineOf(parts.source, (facts) => serverLine(source, facts))],
    ['epoch', lineOf(parts.source, epochLine)],
    ['slot', lineOf(parts.source, (facts) => slotLine(source, facts))],
    ['topic', lineOf(parts.topic, (facts) => topicLine(source, facts))],
    ...parts.regions.map((r) => [`redis ${r.name}`, lineOf(r, (redis) => redisLine(redis, topic, nowMs))] as const),
    ...parts.replicas.map((r) => [`replica ${r.name}`, lineOf(r, replicaLine)] as const),
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, line]) => `${name.padEnd(width)}  ${line}`).join('\n')
}

function lineOf<T>(answer: Answer<T>, line: (facts: T) => string): string {
  return 'facts' in answer ? line(answer.facts) : `does not answer: ${answer.failure.replaceAll('\n', ' ')}`
}

function serverLine({ name }: Source, { server }: SourceFacts): string {
  const version = `Postgres ${Math.floor(server.version / 10_000)}.${server.version % 100}`
  const place = `${name} in database ${server.database}, ${version}, timeline ${server.timeline}`
  return server.inRecovery ? `${place}, a STANDBY` : place
}

function epochLine({ epoch }: SourceFacts): string {
  if (epoch === 'no-table') return 'no table tidemark.epoch that can be read'
  if (epoch === undefined) return 'none yet'
  return epoch.start === null ? `${epoch.number}, being opened` : `${epoch.number}, from ${formatLsn(epoch.start)} on`
}

function slotLine(source: Source, { slots }: SourceFacts): string {
  const slot = slots.find(({ name }) => name === source.slot)
  if (!slot) return `no slot ${source.slot}`
  const user =
    slot.activePid === null ? 'nobody streams' : `${slot.application ?? '?'} (process ${slot.activePid}) streams`
  const kept = slot.retainedBytes === null ? 'keeps nothing' : `keeps ${bytesText(slot.retainedBytes)}`
  const left = slot.safeBytes === null ? 'no limit' : `${bytesText(slot.safeBytes)} left`
  const behind = slot.behindBytes === null ? '' : `, ${bytesText(slot.behindBytes)} behind`
  return `${slot.name}: ${user}, confirmed ${slot.confirmed ?? 'nothing'}${behind}; ${slot.walStatus}, ${kept}, ${left}`
}

function topicLine(source: Source, { topic, brokers }: TopicFacts): string {
  if (!topic) return `no topic ${source.topic}`
  const records = topic.partitions.reduce((sum, { low, high }) => sum + (high - low), 0n)
  const lacking = topic.partitions.filter(({ inSync, replicas }) => inSync < replicas).length
  const copies = lacking === 0 ? 'all in sync' : `${lacking} LACK COPIES`
  return `${source.topic}: ${topic.partitions.length} partitions on ${brokers} broker(s), ${copies}, ${records} records kept`
}

function redisLine(facts: RedisFacts, topic: TopicFacts['topic'], nowMs: number): string {
  if (!facts.views) return 'still loads its data'
  const views = facts.views.filter((view) => view !== null)
  const known = `${views.length}/${facts.views.length} partitions`
  if (views.length === 0) return `${known} have a view: no worker has been here`
  const oldest = Math.min(...views.map((view) => view.beat))
  const gaps = views.filter((view) => view.gap !== undefined).length
  const epochs = [...new Set(views.map((view) => Number.parseInt(view.epoch, 16)))].join(', ')
  const age = `oldest watermark ${durationText(Math.max(0, nowMs - oldest))} ago`
  const lag = topic ? `, ${recordsBehind(facts.views, topic)} records to apply` : ''
  return `${known}, epoch ${epochs}, ${age}${lag}${gaps > 0 ? `, ${gaps} GAPS` : ''}`
}

function recordsBehind(views: readonly (View | null)[], { partitions }: NonNullable<TopicFacts['topic']>): bigint {
  return partitions.reduce((sum, { partition, high }) => {
    const view = views[partition]
    const next = view ? offsetOf(view) : 0n
    return high > next ? sum + (high - next) : sum
  }, 0n)
}

function replicaLine(facts: ReplicaFacts): string {
  if (!facts.inRecovery) return 'NOT IN RECOVERY: a primary'
  const delay = facts.delayMs === null ? 'nothing left to replay' : `${durationText(facts.delayMs)} behind`
  const trouble = `${facts.isPaused ? ', replay PAUSED' : ''}${facts.isReceiving ? '' : ', receives NOTHING'}`
  const epoch = typeof facts.epoch === 'object' ? `epoch ${facts.epoch.number}` : 'no epoch'
  return `replayed to ${facts.replayed ?? '?'}, ${delay}, ${epoch}${trouble}`
}
