import type { Doubt, Inspection, Verdict } from '@tidemark/guard'
import type { Keyspace } from '@tidemark/protocol'
import { durationText } from '../amount.ts'
import { positionText } from '../position-text.ts'

const WHY: Readonly<Record<Doubt, string>> = {
  'no-view': 'the view is gone',
  gap: 'events were missed, and no watermark has come since',
  absent: 'there is no value',
  retained: 'the value was invalidated',
  floor: 'the whole keyspace was invalidated since it was loaded',
  'behind-session': 'the session has seen something newer',
  'too-old': 'it is not known to have been current lately: the view is old',
}

/** In words, what a reader without a session would get now, and why. */
export function servingText(verdict: Verdict, { cell }: Pick<Inspection, 'cell'>, { contract }: Keyspace): string {
  if (contract.reaction === 'bypass') return 'never: the contract says bypass, each read goes to the primary'
  if (cell === 'malformed') return 'never: it is not of our format'
  const bound = durationText(contract.maxStalenessMs)
  if (verdict.fresh) {
    const age = `known to have been current ${durationText(verdict.ageMs)} ago, of ${bound}`
    return `fresh: it holds all that ${positionText(verdict.position)} covers, ${age}`
  }
  const why = verdict.doubt === 'too-old' ? `${WHY[verdict.doubt]} (more than ${bound})` : WHY[verdict.doubt]
  const isThere = cell !== null
  const otherwise =
    contract.whenUnprovable === 'fail'
      ? 'a read loads it, or fails'
      : `a read loads it${isThere ? ', or serves this as stale' : ''}`
  const isChanged = verdict.doubt === 'retained' || verdict.doubt === 'floor'
  const refreshed = contract.reaction === 'refresh' && isChanged
  return `not as fresh: ${why}; ${refreshed ? 'it is served as stale at once, and refreshed behind' : otherwise}`
}
