import { test } from '@jest/globals'
import { farServer, goThrough, oneServer, sentinels } from './trouble.ts'
import { expectBounded } from './trouble-expectations.ts'

/** How long each trouble lasts, and each recovery; TIDEMARK_FAULT_S says another length. */
const PHASE_MS = 1_000 * Number(process.env.TIDEMARK_FAULT_S ?? 60)

test.each([
  { of: 'one server', open: oneServer },
  { of: 'a far server', open: farServer },
  { of: 'sentinels', open: sentinels },
])('I7 calls are bounded, and so is the primary’s load, whatever becomes of $of', async ({ open }) => {
  await using resources = new AsyncDisposableStack()
  expectBounded(await goThrough(await open(resources), PHASE_MS))
})
