import { expect, test } from '@jest/globals'
import type { ApplyResult, Batch } from '@tidemark/guard'
import { version } from '@tidemark/protocol'
import { RedisError } from '@tidemark/redis'
import { pino } from 'pino'
import { sheddingGuard } from './shedding.ts'

const LIMITS = { perGeneration: 10, generationMs: 1_000 }
const BATCH: Batch = {
  ...{ from: 0n, next: 1n, epochStart: null, floors: [], watermark: null },
  events: [{ key: 'product:1', version: version(1, 10n), retainStaleMs: 0 }],
}

test('a Redis that stays full is told of once a minute, not once a batch; what is dropped is all counted', async () => {
  const lines: string[] = []
  let [tried, dropped] = [0, 0]
  const guard = sheddingGuard({
    partition: 0,
    guard: {
      view: async () => null,
      declareGap: async () => true,
      shed: async (keys) => keys.length,
      // Takes a batch once room was made for it.
      apply: async (): Promise<ApplyResult> => {
        tried += 1
        if (tried % 2 === 1) throw new RedisError('full', 'OOM', {})
        return { code: 'applied', outcomes: ['removed'] }
      },
    },
    metrics: {
      shed: (_, count) => {
        dropped += count
      },
    },
    log: pino({ level: 'info' }, { write: (line: string) => lines.push(line) }),
  })
  for (let batch = 0; batch < 5; batch += 1) await guard.apply(BATCH, LIMITS)
  expect(dropped).toBe(5)
  expect(lines).toHaveLength(1)
})
