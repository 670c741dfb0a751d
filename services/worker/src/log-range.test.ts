import { expect, test } from '@jest/globals'
import { resumption } from './log-range.ts'

const range = { low: 10n, high: 20n }

test('an offset that Kafka still has is where to go on', () => {
  expect(resumption(15n, range)).toEqual({ kind: 'continue', at: 15n })
})

test('the first offset that is there, and the end of the log, are still there', () => {
  expect(resumption(10n, range)).toEqual({ kind: 'continue', at: 10n })
  expect(resumption(20n, range)).toEqual({ kind: 'continue', at: 20n })
})

test('I4: an offset below what retention has kept is a gap', () => {
  expect(resumption(9n, range)).toMatchObject({ kind: 'gap', cause: 'offset-gone', why: expect.stringContaining('9') })
})

test('I4: an offset beyond the end means that Kafka has lost records, and is a gap', () => {
  expect(resumption(21n, range)).toMatchObject({ kind: 'gap', why: expect.stringContaining('lost') })
})

test('no view is a gap', () => {
  expect(resumption(null, range)).toMatchObject({ kind: 'gap', cause: 'view-missing' })
})
