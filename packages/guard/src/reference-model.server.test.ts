import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { FeedTap } from './testing/feed-tap.ts'
import { operations } from './testing/operation.ts'
import { PartitionContext } from './testing/partition-context.ts'
import { Twins } from './testing/twins.ts'

/** More of them, or those of a failure again: TIDEMARK_MODEL_OPERATIONS=100000 TIDEMARK_MODEL_SEED=… */
const OPERATIONS = Number(process.env.TIDEMARK_MODEL_OPERATIONS ?? 6_000)
const SEED = Number(process.env.TIDEMARK_MODEL_SEED ?? Math.floor(Math.random() * 2 ** 31))
const SEQUENCES_AT_ONCE = 10
const LIMIT_MS = 120_000 + 10 * OPERATIONS

/** Each answer that the sequences must have met: a comparison that never got there would say nothing. */
const ANSWERS = [
  ...['applied', 'seek', 'view-missing', 'epoch-unannounced'].map((code) => `apply ${code}`),
  ...['removed', 'retained', 'updated', 'kept', 'absent', 'old-epoch'].map((outcome) => `event ${outcome}`),
  ...['granted', 'changed', 'busy', 'view-missing', 'gap'].map((code) => `lease ${code}`),
  ...['required', 'view-missing', 'gap', 'blind'].map((code) => `require ${code}`),
  ...['stored', 'stale', 'older', 'lease-lost', 'view-missing', 'gap'].map((code) => `fill ${code}`),
  ...['declareGap true', 'declareGap false'],
  ...['replayed', 'view-missing', 'epoch-unannounced'].map((code) => `replay ${code}`),
  ...['removed', 'retained', 'kept', 'absent', 'old-epoch'].map((outcome) => `replayed ${outcome}`),
  ...['next', 'first', 'gap', 'epoch'].map((loss) => `told ${loss}`),
  'copy kept',
]

test(
  `I2, I6: the commands do what the reference model does, in ${OPERATIONS} random operations from seed ${SEED}`,
  async () => {
    await using ctx = await PartitionContext.empty()
    const answers = new Map<string, number>()
    await using tap = new FeedTap(ctx.redis.duplicate())
    let performed = 0
    for (let seed = SEED; performed < OPERATIONS; seed++) {
      const property = fc.asyncProperty(operations, async (sequence) => {
        await ctx.clear()
        await using twins = await Twins.open(ctx, tap, answers)
        for (const operation of sequence) await twins.perform(operation)
        performed += sequence.length
      })
      await fc.assert(property, { seed, numRuns: SEQUENCES_AT_ONCE })
    }
    const missing = ANSWERS.filter((answer) => !answers.has(answer))
    expect({ seed: SEED, missing }).toEqual({ seed: SEED, missing: [] })
  },
  LIMIT_MS,
)
