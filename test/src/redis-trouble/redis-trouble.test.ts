import { test } from '@jest/globals'
import { farServer, goThrough, oneServer } from './trouble.ts'
import { expectBounded } from './trouble-expectations.ts'

// A second of what `redis-trouble.long.test.ts` does for a minute, and of its troubles those that differ in kind.

const PHASE_MS = 800

test.each([
  { names: ['stopped', 'paused', 'read-only'], open: oneServer },
  { names: ['slow'], open: farServer },
])(
  'I7 calls are bounded, and so is the primary’s load, while Redis is $names',
  async ({ names, open }) => {
    await using resources = new AsyncDisposableStack()
    const redis = await open(resources)
    const troubles = redis.troubles.filter(({ name }) => names.includes(name))
    expectBounded(await goThrough({ ...redis, troubles }, PHASE_MS))
  },
  120_000,
)
