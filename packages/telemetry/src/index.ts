export { type FailingCheck, Health, type HealthCheck } from './health.ts'
export { metricsTable } from './metric-document.ts'
export { METRICS, type Metric, type MetricName } from './metric-table.ts'
export {
  type EpochCause,
  type FloorCause,
  type GapCause,
  type PublisherMetrics,
  type PublisherReadings,
  publisherMetrics,
  replicaLagGauge,
  type WorkerMetrics,
  type WorkerReadings,
  workerMetrics,
} from './metrics.ts'
export { startTelemetry, type Telemetry, type TelemetryOptions } from './sdk.ts'
