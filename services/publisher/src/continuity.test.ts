import { expect, test } from '@jest/globals'
import type { Epoch } from '@tidemark/postgres'
import { position } from '@tidemark/protocol'
import type { EpochCause } from '@tidemark/telemetry'
import { continuityOf, isAbandoned, type StartFacts } from './continuity.ts'

const EPOCH: Epoch = { number: 4, systemIdentifier: 99n, timeline: 1, start: 50n, slot: 'shop', shape: 'a' }
const FACTS: StartFacts = {
  newest: EPOCH,
  slot: { confirmed: 100n, lost: false, activePid: null },
  slotName: 'shop',
  systemIdentifier: 99n,
  timeline: 1,
  insertLsn: 200n,
  shape: 'a',
  published: { lowest: position(4, 100n), highestEpoch: 4, isNew: false },
  shutsOutEarlier: true,
  busLostRecords: false,
  undecodableFrom: undefined,
}

const held = (epoch: number, lsn: bigint, highestEpoch = epoch) => ({
  lowest: position(epoch, lsn),
  highestEpoch,
  isNew: false,
})

test('where nothing speaks against it the epoch continues at the slot’s position', () => {
  expect(continuityOf(FACTS)).toEqual({ kind: 'continue', epoch: EPOCH, from: 100n })
  // After a crash of Postgres the slot may be behind what was confirmed: duplicates, no gap.
  expect(continuityOf({ ...FACTS, published: held(4, 120n) }).kind).toBe('continue')
  expect(continuityOf({ ...FACTS, slot: { confirmed: 50n, lost: false, activePid: null } }).kind).toBe('continue')
})

test.each<[string, EpochCause, Partial<StartFacts>]>([
  ['no epoch was ever recorded', 'first', { newest: undefined }],
  ['there is no slot', 'slot-missing', { slot: undefined }],
  ['the slot was lost', 'slot-lost', { slot: { confirmed: 100n, lost: true, activePid: null } }],
  ['the slot has no confirmed position', 'slot-lost', { slot: { confirmed: null, lost: false, activePid: null } }],
  ['the server cannot decode from there', 'slot-undecodable', { undecodableFrom: 100n }],
  ['the epoch may not be continued', 'publication', { newest: { ...EPOCH, shape: null } }],
  ['the slot has another name', 'slot-renamed', { slotName: 'other' }],
  ['keys are made in another way', 'keys', { shape: 'b' }],
])('I4: %s: a new epoch with a new slot', (_, cause, change) => {
  expect(continuityOf({ ...FACTS, ...change })).toMatchObject({ kind: 'new-epoch', from: null, cause })
})

test.each<[string, EpochCause, Partial<StartFacts>]>([
  ['the timeline is another', 'timeline', { timeline: 2 }],
  ['the cluster is another', 'cluster', { systemIdentifier: 98n }],
  [
    'the slot stands before the epoch’s start',
    'slot-moved',
    { slot: { confirmed: 49n, lost: false, activePid: null } },
  ],
  ['the server stands before what Kafka holds', 'went-back', { published: held(4, 201n) }],
  ['Kafka holds a later epoch', 'kafka', { published: held(4, 100n, 5) }],
  ['Kafka holds less than was confirmed, or somebody moved the slot', 'kafka', { published: held(4, 99n) }],
  ['Kafka holds an older epoch alone', 'kafka', { published: held(3, 200n) }],
  ['the topic is new', 'kafka', { published: { lowest: undefined, highestEpoch: 0, isNew: true } }],
  ['the topic was emptied', 'kafka', { published: { lowest: undefined, highestEpoch: 0, isNew: false } }],
  ['Kafka has forgotten who published before', 'kafka', { shutsOutEarlier: false }],
  ['Kafka lost what it had acknowledged', 'kafka', { busLostRecords: true }],
])('I4: %s: a new epoch at the slot’s position', (_, cause, change) => {
  const facts = { ...FACTS, ...change }
  expect(continuityOf(facts)).toMatchObject({ kind: 'new-epoch', from: facts.slot?.confirmed, cause })
})

test('an epoch of which nothing was confirmed continues without a record in Kafka: it is announced again', () => {
  const slot = { confirmed: 50n, lost: false, activePid: null }
  expect(continuityOf({ ...FACTS, slot, published: held(3, 40n) }).kind).toBe('continue')
  // Cut off between its start and its announcement, with a topic that nobody has written to.
  const published = { lowest: undefined, highestEpoch: 0, isNew: true }
  expect(continuityOf({ ...FACTS, slot, published, shutsOutEarlier: false }).kind).toBe('continue')
})

test('I4: an epoch whose opening was cut off is not finished: Kafka may hold its number, from whomever', () => {
  const continuity = continuityOf({ ...FACTS, newest: { ...EPOCH, start: null } })
  expect(continuity).toMatchObject({ kind: 'new-epoch', from: null, cause: 'opening-cut-off' })
})

test('a server whose own history opened the newest epoch that it knows is abandoned once Kafka holds a later one', () => {
  const published = held(4, 100n, 5)
  expect(isAbandoned({ ...FACTS, published })).toBe(true)
  expect(isAbandoned({ ...FACTS, published, newest: { ...EPOCH, start: null } })).toBe(true)
  expect(isAbandoned(FACTS)).toBe(false)
})

test.each<[string, Partial<StartFacts>]>([
  ['was promoted', { timeline: 2 }],
  ['is another cluster', { systemIdentifier: 98n }],
  ['has forgotten all epochs', { newest: undefined }],
])('a server that %s is not abandoned by a later epoch: it opens one that is later still', (_, change) => {
  expect(isAbandoned({ ...FACTS, published: held(4, 100n, 5), ...change })).toBe(false)
})
