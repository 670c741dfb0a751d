import { expect, test } from '@jest/globals'
import { formatLsn, parseLsn } from '@tidemark/protocol'
import { Acker } from './acker.ts'

test('the safe position starts at the slot’s and moves with what Kafka acknowledged', () => {
  const acker = new Acker(100n)
  expect(acker.safe).toBe(100n)
  acker.published(120n, 4, 4)
  expect(acker.safe).toBe(120n)
  acker.published(120n, 4, 4)
  expect(acker.safe).toBe(120n)
})

test('I4: it never goes back', () => {
  const acker = new Acker(100n)
  expect(() => acker.published(99n, 4, 4)).toThrow(/go back/)
  expect(acker.safe).toBe(100n)
})

test('I4: a watermark that not every partition has is not safe', () => {
  const acker = new Acker(100n)
  expect(() => acker.published(120n, 3, 4)).toThrow(/3 of 4/)
  expect(acker.safe).toBe(100n)
})

test('I4: the library sends one more than it is given, so that Postgres records the end exactly', () => {
  for (const lsn of [100n, 0x1_0000_0000n, 0x16_0000_0000n]) {
    const given = new Acker(lsn).forAcknowledge()
    expect(parseLsn(given) + 1n).toBe(lsn)
    expect(given).toBe(formatLsn(lsn - 1n))
  }
})

test('a slot without a position is no start', () => {
  expect(() => new Acker(0n)).toThrow(/real position/)
})
