import { expect, test } from '@jest/globals'
import { OffsetWatch } from './offset-watch.ts'

test('offsets that grow are as they should be, with gaps too, each partition for itself', () => {
  const watch = new OffsetWatch()
  watch.acknowledged(0, 100n, 5)
  watch.acknowledged(1, 3n, 1)
  watch.acknowledged(0, 105n, 1)
  watch.acknowledged(0, 200n, 1)
})

test('I4: an offset inside what was acknowledged before means that Kafka lost records', () => {
  const watch = new OffsetWatch()
  watch.acknowledged(0, 100n, 5)
  expect(() => watch.acknowledged(0, 104n, 1)).toThrow(/BUS_LOST_RECORDS/)
  watch.forget()
  watch.acknowledged(0, 0n, 1)
})

test('an answer without an offset is no acknowledgement', () => {
  expect(() => new OffsetWatch().acknowledged(0, -1n, 1)).toThrow(/SERVER_UNREACHABLE/)
})
