import { expect, test } from '@jest/globals'
import { TidemarkError } from '@tidemark/protocol'
import { DecodingFailures } from './decoding-failures.ts'

const UNDECODABLE = new TidemarkError('SLOT_UNDECODABLE', 'the server cannot decode its log')
const UNREACHABLE = new TidemarkError('SERVER_UNREACHABLE', 'the server was restarted')

test('three failures to decode from one position are lasting, whatever else came between', () => {
  const failures = new DecodingFailures()
  for (const error of [UNDECODABLE, UNREACHABLE, UNDECODABLE, UNREACHABLE]) failures.ended(error, 100n)
  expect(failures.lastingFrom).toBeUndefined()
  failures.ended(UNDECODABLE, 100n)
  expect(failures.lastingFrom).toBe(100n)
})

test('a slot that has moved on is counted anew', () => {
  const failures = new DecodingFailures()
  for (const from of [100n, 100n, 200n, 200n]) failures.ended(UNDECODABLE, from)
  expect(failures.lastingFrom).toBeUndefined()
})

test('a slot that the server will not stream from counts, though it does not call it lost', () => {
  const failures = new DecodingFailures()
  const refused = new TidemarkError('SLOT_LOST', 'the slot cannot be streamed from')
  for (const from of [100n, 100n, 100n]) failures.ended(refused, from)
  expect(failures.lastingFrom).toBe(100n)
})
