import { test } from '@jest/globals'
import { farServer, goThrough, oneServer } from './trouble.ts'
import { expectBounded } from './trouble-expectations.ts'

// A second of what `redis-trouble.long.test.ts` does for a minute, and of its troubles those that differ in kind.

const PHASE_MS = 800

test.each([
  [oneServer, ['stopped', 'paused', 'read-only']],
  [farServer, ['slow']],
])(
  'I7 calls are bounded, and so is the primary’s load: %p while it is %j',
  async (open, names) => {
    await using resources = new AsyncDisposableStack()
    const redis = await open(resources)
    const troubles = redis.troubles.filter(({ name }) => names.includes(name))
    expectBounded(await goThrough({ ...redis, troubles }, PHASE_MS))
  },
  120_000,
)
