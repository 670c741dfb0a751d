import { expect, test } from '@jest/globals'
import { position } from '@tidemark/protocol'
import { summarise } from './last-published.ts'

test('the partition that is furthest behind counts, an older epoch being further behind than any LSN', () => {
  const positions = [position(3, 10n), position(2, 99n), position(3, 50n)]
  expect(summarise(positions, 3)).toEqual({ lowest: position(2, 99n), highestEpoch: 3 })
})

test('a partition without a record leaves nothing that is on all of them', () => {
  expect(summarise([position(3, 10n)], 2)).toEqual({ lowest: undefined, highestEpoch: 3 })
  expect(summarise([], 2)).toEqual({ lowest: undefined, highestEpoch: 0 })
})
