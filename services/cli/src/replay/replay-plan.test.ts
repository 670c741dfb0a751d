import { expect, test } from '@jest/globals'
import type { View } from '@tidemark/guard'
import { ORIGIN, type Version } from '@tidemark/protocol'
import { type PartitionFacts, planOf } from './replay-plan.ts'

function viewAt(offset: bigint): View {
  return {
    epoch: '00000001',
    watermark: ORIGIN,
    newest: ORIGIN as string as Version,
    horizon: ORIGIN,
    floors: {},
    offset: offset.toString(16).padStart(16, '0'),
    beat: 0,
    current: 0,
    generations: {},
  }
}

const facts = (more: Partial<PartitionFacts> = {}): PartitionFacts => ({
  ...{ partition: 0, low: 0n, end: 100n, view: viewAt(80n), wanted: 20n },
  ...more,
})

const only = (more: Partial<PartitionFacts>, kind: 'offset' | 'time' | 'version' = 'offset') => {
  const plan = planOf([facts(more)], kind)
  return 'refused' in plan ? plan : plan[0]
}

test('a range ends where the region’s view stands, however much Kafka holds', () => {
  expect(only({})).toEqual({ partition: 0, from: 20n, to: 80n, isCut: false })
  expect(only({ end: 60n })).toMatchObject({ to: 60n })
  expect(only({ wanted: 95n }, 'time')).toMatchObject({ from: 80n, to: 80n })
})

test('what retention has removed is told, also where only the search ended at the log’s beginning', () => {
  expect(only({ low: 30n })).toMatchObject({ from: 30n, isCut: true })
  expect(only({ low: 20n })).toMatchObject({ from: 20n, isCut: false })
  expect(only({ low: 20n }, 'time')).toMatchObject({ from: 20n, isCut: true })
  expect(only({ wanted: 0n }, 'version')).toMatchObject({ from: 0n, isCut: false })
  expect(only({ low: 90n })).toEqual({ partition: 0, from: 80n, to: 80n, isCut: true })
})

test('an offset beyond the view, and a partition without one, are refused with the numbers', () => {
  const plan = planOf([facts({ wanted: 81n }), facts({ partition: 1, view: null }), facts({ partition: 2 })], 'offset')
  expect(plan).toEqual({
    refused: [
      'partition 0: offset 81 lies beyond 80, which this region applies next',
      'partition 1 has no view in this region: a worker must run there first',
    ],
  })
})
