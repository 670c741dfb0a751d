import { expect, test } from '@jest/globals'
import type { Epoch } from '@tidemark/postgres'
import { position } from '@tidemark/protocol'
import type { EpochCause } from '@tidemark/telemetry'
import { continuityOf, type StartFacts } from './continuity.ts'

const EPOCH: Epoch = { number: 4, systemIdentifier: 99n, timeline: 1, start: 50n, slot: 'shop', shape: 'a' }
const FACTS: StartFacts = {
  newest: EPOCH,
  slot: { confirmed: 100n, lost: false, activePid: null },
  slotName: 'shop',
  systemIdentifier: 99n,
  timeline: 1,
  insertLsn: 200n,
  shape: 'a',
  confirmedByUs: undefined,
  published: undefined,
  busLostRecords: false,
}

test('where nothing speaks against it the epoch continues at the slot’s position', () => {
  expect(continuityOf(FACTS)).toEqual({ kind: 'continue', epoch: EPOCH, from: 100n })
  expect(continuityOf({ ...FACTS, confirmedByUs: 100n }).kind).toBe('continue')
  // After a crash of Postgres the slot may be behind what we confirmed: duplicates, no gap.
  expect(continuityOf({ ...FACTS, confirmedByUs: 120n }).kind).toBe('continue')
  expect(continuityOf({ ...FACTS, slot: { confirmed: 50n, lost: false, activePid: null } }).kind).toBe('continue')
})

test.each<[string, EpochCause, Partial<StartFacts>]>([
  ['no epoch was ever recorded', 'first', { newest: undefined }],
  ['there is no slot', 'slot-missing', { slot: undefined }],
  ['the slot was lost', 'slot-lost', { slot: { confirmed: 100n, lost: true, activePid: null } }],
  ['the slot has no confirmed position', 'slot-lost', { slot: { confirmed: null, lost: false, activePid: null } }],
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
  ['the server stands before what we confirmed', 'went-back', { confirmedByUs: 201n }],
  [
    'the server stands before what Kafka holds',
    'went-back',
    { published: { lowest: position(4, 201n), highestEpoch: 4 } },
  ],
  ['somebody else moved the slot', 'slot-moved', { confirmedByUs: 99n }],
  ['Kafka holds a later epoch', 'kafka', { published: { lowest: position(4, 100n), highestEpoch: 5 } }],
  ['Kafka holds less than was confirmed', 'kafka', { published: { lowest: position(4, 99n), highestEpoch: 4 } }],
  ['Kafka holds an older epoch alone', 'kafka', { published: { lowest: position(3, 200n), highestEpoch: 3 } }],
  ['the topic is new or emptied', 'kafka', { published: { lowest: undefined, highestEpoch: 0 } }],
  ['Kafka lost what it had acknowledged', 'kafka', { busLostRecords: true }],
])('I4: %s: a new epoch at the slot’s position', (_, cause, change) => {
  const facts = { ...FACTS, ...change }
  expect(continuityOf(facts)).toMatchObject({ kind: 'new-epoch', from: facts.slot?.confirmed, cause })
})

test('Kafka’s last records prove that the slot stands where it was left', () => {
  const published = { lowest: position(4, 100n), highestEpoch: 4 }
  expect(continuityOf({ ...FACTS, published }).kind).toBe('continue')
})

test('an epoch of which nothing was confirmed continues without a record in Kafka: it is announced again', () => {
  const slot = { confirmed: 50n, lost: false, activePid: null }
  const published = { lowest: position(3, 40n), highestEpoch: 3 }
  expect(continuityOf({ ...FACTS, slot, published }).kind).toBe('continue')
})

test('I4: an epoch whose slot was never made is finished, whatever slot there is by now', () => {
  const newest = { ...EPOCH, start: null }
  expect(continuityOf({ ...FACTS, newest })).toEqual({ kind: 'unfinished', epoch: newest })
})

test('an unfinished epoch of another history is not used', () => {
  const newest = { ...EPOCH, start: null }
  for (const change of [{ timeline: 2 }, { systemIdentifier: 98n }, { shape: 'b' }, { slotName: 'other' }]) {
    expect(continuityOf({ ...FACTS, newest, ...change }).kind).toBe('new-epoch')
  }
})
