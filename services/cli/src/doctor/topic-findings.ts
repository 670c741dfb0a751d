import { type Topic, type TopicFacts, type TopicSettings, topicSettings } from '@tidemark/kafka'
import type { Source } from '@tidemark/protocol'
import { bytesText, durationText } from '../amount.ts'
import type { Finding, Severity } from './finding.ts'

const HOUR_MS = 3_600_000
const SOUND_RETENTION_MS = 24 * HOUR_MS
/** Of the publisher's largest send to one partition, with what Kafka adds. */
const LEAST_MESSAGE_BYTES = 768 * 1024

function finding(severity: Severity, check: string, what: string, breaks: string, mend: string): Finding {
  return { severity, check, where: 'topic', what, breaks, mend }
}

export function topicFindings(source: Source, { topic, brokers }: TopicFacts): Finding[] {
  if (topic === undefined) {
    const mend =
      'tidemark init --yes, or start the publisher: it makes the topic. ' +
      'If it exists, this account lacks the ACL that shows it: Describe'
    return [finding('error', 'topic-missing', `there is no topic ${source.topic}`, 'nothing can be published', mend)]
  }
  return [
    ...partitionFindings(source, topic),
    ...copyFindings(topic, brokers),
    ...(topic.settings ? settingsFindings(source, topic, topic.settings) : [unseenSettings(source)]),
  ]
}

function unseenSettings({ topic }: Source): Finding {
  return finding(
    'warning',
    'topic-settings-unseen',
    'this account may not read its settings: it lacks DescribeConfigs',
    'nobody notices when records are compacted, deleted early or acknowledged by too few copies',
    `kafka-acls.sh --add --allow-principal User:… --operation DescribeConfigs --topic ${topic}`,
  )
}

function settingsFindings(source: Source, topic: Topic, settings: TopicSettings): Finding[] {
  return [
    ...minInSyncFindings(source, topic, settings),
    ...retentionFindings(source, settings),
    ...electionFindings(source, settings),
  ]
}

/** The command that sets one setting, and leaves all others as they are. */
function alter({ topic }: Source, setting: string, value: string): string {
  return `kafka-configs.sh --alter --topic ${topic} --add-config ${setting}=${value}`
}

function partitionFindings(source: Source, { partitions }: Topic): Finding[] {
  const found: Finding[] = []
  if (partitions.length !== source.partitions) {
    found.push(
      finding(
        'error',
        'topic-partitions',
        `it has ${partitions.length} partitions, the source says ${source.partitions}`,
        'keys would land in the wrong partition; the publisher refuses to start',
        `Say partitions: ${partitions.length} in tidemark.config.ts, or give the source another topic`,
      ),
    )
  }
  const headless = partitions.filter(({ leader }) => leader < 0).map(({ partition }) => partition)
  if (headless.length > 0) {
    const breaks = 'publishing stands still, and all watermarks with it'
    const mend = 'Bring the brokers back that hold them'
    found.push(finding('error', 'topic-leader', `partitions ${headless.join(', ')} have no leader`, breaks, mend))
  }
  return found
}

function copyFindings({ partitions, settings }: Topic, brokers: number): Finding[] {
  const found: Finding[] = []
  if (leastCopies(partitions) < 2) {
    found.push(
      finding(
        // Of one broker nobody can ask for two copies.
        brokers > 1 ? 'warning' : 'info',
        'topic-copies',
        `partitions have one copy, on ${brokers} broker(s)`,
        'a broker that loses its disk loses events; the publisher then opens a new epoch: all is refilled once',
        'kafka-reassign-partitions.sh, or make the topic with TIDEMARK_KAFKA_REPLICATION_FACTOR=3',
      ),
    )
  }
  const behind = partitions.filter(({ inSync, replicas, leader }) => leader >= 0 && inSync < replicas)
  if (behind.length > 0) {
    const least = settings?.['min.insync.replicas'] ?? 'min.insync.replicas'
    const breaks = `with fewer than ${least} in sync, publishing stands still`
    const mend = 'See which broker is away or behind'
    found.push(finding('warning', 'topic-in-sync', `${behind.length} partition(s) lack copies in sync`, breaks, mend))
  }
  return found
}

function leastCopies(partitions: Topic['partitions']): number {
  return Math.min(...partitions.map(({ replicas }) => replicas))
}

function minInSyncFindings(source: Source, { partitions }: Topic, settings: TopicSettings): Finding[] {
  const copies = leastCopies(partitions)
  const minInSync = Number(settings['min.insync.replicas'] ?? 1)
  if (copies < 3 || minInSync >= 2) return []
  return [
    finding(
      'warning',
      'topic-min-insync',
      `min.insync.replicas is ${minInSync} of ${copies} copies`,
      'what one broker alone acknowledged is lost with it; the publisher then opens a new epoch',
      alter(source, 'min.insync.replicas', '2'),
    ),
  ]
}

function retentionFindings(source: Source, settings: TopicSettings): Finding[] {
  const found: Finding[] = []
  const sound = topicSettings(1)
  const policy = settings['cleanup.policy'] ?? ''
  if (policy.includes('compact')) {
    const breaks = 'an event goes once its key has a newer one, whether every region has applied it or not: a gap'
    const mend = alter(source, 'cleanup.policy', 'delete')
    found.push(finding('error', 'topic-compacted', `cleanup.policy is ${policy}`, breaks, mend))
  }
  const gap = 'a region that is away for longer has a gap: all that it holds is refilled'
  const retentionMs = Number(settings['retention.ms'] ?? -1)
  if (retentionMs >= 0 && retentionMs < SOUND_RETENTION_MS) {
    const mend = alter(source, 'retention.ms', sound['retention.ms']!)
    found.push(finding('warning', 'topic-retention', `records are kept for ${durationText(retentionMs)}`, gap, mend))
  }
  const retentionBytes = Number(settings['retention.bytes'] ?? -1)
  if (retentionBytes >= 0) {
    const what = `a partition keeps ${bytesText(retentionBytes)}, however short a time that is`
    found.push(finding('warning', 'topic-retention', what, gap, alter(source, 'retention.bytes', '-1')))
  }
  return found
}

function electionFindings(source: Source, settings: TopicSettings): Finding[] {
  const found: Finding[] = []
  if (settings['unclean.leader.election.enable'] === 'true') {
    const breaks = 'a broker that lacks acknowledged events may lead; the publisher then opens a new epoch'
    const mend = alter(source, 'unclean.leader.election.enable', 'false')
    found.push(finding('warning', 'topic-unclean', 'unclean.leader.election.enable is true', breaks, mend))
  }
  const maxBytes = Number(settings['max.message.bytes'] ?? LEAST_MESSAGE_BYTES)
  if (maxBytes < LEAST_MESSAGE_BYTES) {
    const breaks = 'a large batch is refused, and publishing stands still at it'
    const mend = alter(source, 'max.message.bytes', topicSettings(1)['max.message.bytes']!)
    found.push(finding('error', 'topic-message-bytes', `max.message.bytes is ${maxBytes}`, breaks, mend))
  }
  return found
}
