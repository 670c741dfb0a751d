import { COMPRESSION_SHIFT, FORM_MASK, type Inspection, type Malformed, type ValueFacts } from '@tidemark/guard'
import { bytesText, durationText } from '../amount.ts'

type Cell = Exclude<Inspection['cell'], null | Malformed>

/** As the refill package numbers them (its value/); an app's own serializers begin at 16. */
const FORMS: Readonly<Record<number, string>> = { 0: 'JSON', 1: 'devalue' }
const COMPRESSIONS = ['not compressed', 'gzip', 'brotli', 'zstd'] as const

/** What is known of a value without looking at it: its size as it is stored, form, age, cost and dependencies. */
export function valueText(value: Cell['value'], nowMs: number): string {
  if (value === 'malformed') return 'not of our format: readers load anew'
  const { bytes, storedAt, costMs, dependencies } = value
  return [
    bytesText(bytes),
    formText(value),
    `stored ${durationText(Math.max(0, nowMs - storedAt))} ago`,
    costMs === 0 ? 'not by a load' : `after a load of ${durationText(costMs)}`,
    dependencies === 0 ? 'no dependencies' : `dependencies: ${dependencies}`,
  ].join(', ')
}

function formText({ codec }: ValueFacts): string {
  const form = codec & FORM_MASK
  return `${FORMS[form] ?? `serializer ${form}`}, ${COMPRESSIONS[codec >> COMPRESSION_SHIFT]}`
}
