import { expect, test } from '@jest/globals'
import type { Topic } from '@tidemark/kafka'
import { KAFKA, SHOP, TOPIC } from '../testing/facts.ts'
import { topicFindings } from './topic-findings.ts'

const checks = (topic: Topic | undefined, brokers = 3) =>
  topicFindings(SHOP, { topic, brokers }).map((f) => `${f.severity} ${f.check}`)

const set = (settings: Record<string, string>): Topic => ({ ...TOPIC, settings: { ...TOPIC.settings, ...settings } })
const each = (given: Partial<Topic['partitions'][number]>): Topic => ({
  ...TOPIC,
  partitions: TOPIC.partitions.map((p) => ({ ...p, ...given })),
})

test('a topic as init makes it has no finding', () => {
  expect(topicFindings(SHOP, KAFKA)).toEqual([])
})

test.each<[string, Topic | undefined, string[]]>([
  ['no topic', undefined, ['error topic-missing']],
  ['another number of partitions', { ...TOPIC, partitions: TOPIC.partitions.slice(1) }, ['error topic-partitions']],
  ['a partition without a leader', each({ leader: -1 }), ['error topic-leader']],
  ['one copy, of several brokers', each({ replicas: 1, inSync: 1 }), ['warning topic-copies']],
  ['three copies of which one counts', set({ 'min.insync.replicas': '1' }), ['warning topic-min-insync']],
  ['copies that are not in sync', each({ inSync: 2 }), ['warning topic-in-sync']],
  ['a compacted topic', set({ 'cleanup.policy': 'compact,delete' }), ['error topic-compacted']],
  ['a short retention', set({ 'retention.ms': '3600000' }), ['warning topic-retention']],
  ['a retention by size', set({ 'retention.bytes': '1000000' }), ['warning topic-retention']],
  ['settings that may not be read', { ...TOPIC, settings: undefined }, ['warning topic-settings-unseen']],
  ['unclean elections', set({ 'unclean.leader.election.enable': 'true' }), ['warning topic-unclean']],
  ['messages that are too small', set({ 'max.message.bytes': '100000' }), ['error topic-message-bytes']],
])('%s is found', (_, topic, expected) => {
  expect(checks(topic)).toEqual(expected)
})

test('what is fine, or cannot be otherwise, is not flagged', () => {
  expect(checks(each({ replicas: 1, inSync: 1 }), 1)).toEqual(['info topic-copies'])
  expect(checks(set({ 'retention.ms': '-1' }))).toEqual([])
  expect(checks(each({ replicas: 2, inSync: 2 }))).toEqual([])
})

test('what mends a setting leaves the others as they are', () => {
  const [finding] = topicFindings(SHOP, { brokers: 3, topic: set({ 'cleanup.policy': 'compact' }) })
  expect(finding?.mend).toBe('kafka-configs.sh --alter --topic tidemark.shop --add-config cleanup.policy=delete')
})
