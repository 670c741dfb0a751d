import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { murmur2, partitionOf } from './partition.ts'

// Published in Kafka's own UtilsTest.testMurmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('the hash of %j is the one of Java clients', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

const METADATA = Array.from({ length: 4096 }, (_, partitionId) => ({
  partitionErrorCode: 0,
  partitionId,
  leader: 0,
  replicas: [],
  isr: [],
}))

test('every key lands where a client with the default partitioner would put it', () => {
  const partition = Partitioners.DefaultPartitioner()
  const texts = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme-ascii', maxLength: 200 }))
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: METADATA.length }), (key, partitions) => {
      const partitionMetadata = METADATA.slice(0, partitions)
      const theirs = partition({ topic: 't', partitionMetadata, message: { key, value: null } })
      expect(partitionOf(key, partitions)).toBe(theirs)
    }),
    { numRuns: 1_000 },
  )
})
