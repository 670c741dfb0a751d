import { expect, test } from '@jest/globals'
import type { TopicFacts } from '@tidemark/kafka'
import type { SourceFacts } from '../facts/source-facts.ts'
import { KAFKA, SHOP, SLOT, SOURCE, TOPIC, WEAK } from '../testing/facts.ts'
import { planOf, planText } from './init-plan.ts'

const NEW: Partial<SourceFacts> = {
  grants: { ...SOURCE.grants, hasEpochTable: false, hasInvalidate: false },
  publication: 'missing',
  slots: [],
  epoch: 'no-table',
}
const NO_TOPIC: TopicFacts = { brokers: 3, topic: undefined }

function states(change: Partial<SourceFacts>, topic: TopicFacts = KAFKA, copies = 3) {
  return planOf(SHOP, { ...SOURCE, ...change }, topic, copies).map(({ part, state }) => `${state} ${part}`)
}

test('of a new source all is to do but what the publisher does', () => {
  expect(states(NEW, NO_TOPIC)).toEqual([
    'to do schema',
    'to do publication',
    'to do topic',
    'publisher slot and epoch',
  ])
})

test('of a source that runs all is there', () => {
  expect(states({})).toEqual(['there schema', 'there publication', 'there topic', 'there slot and epoch'])
})

test('what is half there is completed', () => {
  expect(states({ grants: { ...SOURCE.grants, hasInvalidate: false } })[0]).toBe('to do schema')
  expect(states({ epoch: { ...(SOURCE.epoch as object), start: null } as SourceFacts['epoch'] })[3]).toBe(
    'publisher slot and epoch',
  )
})

test.each<[string, string[]]>([
  ['a publication that loses changes', states({ publication: [{ what: 'x', mend: 'y' }] })],
  ['tables that cannot be keyed', states({ publication: 'missing', mistakes: [WEAK] })],
  ['a topic of other partitions', states({}, { brokers: 3, topic: { ...TOPIC, partitions: [] } })],
  ['fewer brokers than copies', states({}, { ...NO_TOPIC, brokers: 2 })],
  ['a slot that is somebody else’s', states({ slots: [{ ...SLOT, plugin: 'wal2json' }] })],
])('%s is in the way', (_, plan) => {
  expect(plan.filter((step) => step.startsWith('blocked'))).toHaveLength(1)
})

test('what would be run is shown as it is', () => {
  const text = planText(SHOP, planOf(SHOP, { ...SOURCE, ...NEW }, NO_TOPIC, 3))
  for (const part of [
    'create publication "tidemark_shop"',
    'grant select on tidemark.epoch',
    'min.insync.replicas=2',
  ]) {
    expect(text).toContain(part)
  }
})
