import { expect, test } from '@jest/globals'
import { parseLsn, position } from '@tidemark/protocol'
import type { Standing } from './standing.ts'
import { canWaitFor, waitForLsn } from './wait-for-lsn.ts'

const STANDING: Standing = {
  role: 'replica',
  epoch: 1,
  systemIdentifier: '7',
  announced: true,
  position: position(1, 0x5000n),
  reach: position(1, 0x5000n),
  version: 190_000,
  server: 'one',
}

test('the command names LSN and time-out, and says so where it would throw', () => {
  expect(waitForLsn(parseLsn('16/B374D848'), 19.7)).toBe("wait for lsn '16/B374D848' with (timeout '19ms', no_throw)")
})

test('a time-out below a millisecond is not the 0 that waits for ever', () => {
  expect(waitForLsn(0n, 0.2)).toContain("timeout '1ms'")
})

test('it is used from Postgres 19 on, on a standby, and only for what an LSN can say', () => {
  const at = 0x5000n
  expect(canWaitFor(at + 1n, STANDING, at)).toBe(true)
  expect(canWaitFor(at + 1n, { ...STANDING, version: 180_004 }, at)).toBe(false)
  expect(canWaitFor(at + 1n, { ...STANDING, role: 'primary' }, at)).toBe(false)
  // What is lacking is a newer epoch: the command would answer at once, for ever.
  expect(canWaitFor(at, STANDING, at)).toBe(false)
})
