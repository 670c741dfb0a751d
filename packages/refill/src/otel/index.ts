export { REFILL_METRICS, type RefillMetricName } from './metric-table.ts'
export { type RecordRefillOptions, recordRefill } from './recorder.ts'
