import { setTimeout as sleep } from 'node:timers/promises'
import { context, metrics, propagation, trace } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AggregationTemporality,
  InstrumentType,
  type MetricReader,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { listenForProbes } from './endpoint.ts'
import type { Health } from './health.ts'

export interface Telemetry {
  /** The port that the endpoint listens on; useful when 0 was asked for. */
  readonly port: number
  /** Closes the endpoint and flushes what is exported; takes at most FLUSH_TIMEOUT_MS. */
  readonly stop: () => Promise<void>
}

export interface TelemetryOptions {
  readonly service: string
  readonly region?: string
  readonly host?: string
  readonly port: number
  readonly health: Health
}

const FLUSH_TIMEOUT_MS = 3_000

/**
 * Sets up OpenTelemetry for the process and opens its endpoint. Call it once, before any recorder is made.
 * Throws SETTINGS_INVALID when the port cannot be listened on.
 *
 * Metrics are scraped. Traces and metrics are also sent by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT is set: the OTEL_
 * variables belong to the SDK, which reads them from the environment itself.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  const { service, region, host = '127.0.0.1', port, health } = options
  const exporter = forgetful(new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true }))
  const endpoint = await listenForProbes({
    host,
    port,
    health,
    metrics: (request, response) => exporter.getMetricsRequestHandler(request, response),
  })
  const sdk = new NodeSDK({
    resource: resourceFromAttributes({ 'service.name': service, ...(region && { 'cloud.region': region }) }),
    // Not the process detector: it exposes the command line, which may hold what is nobody's business.
    resourceDetectors: [envDetector],
    ...exports(exporter),
  })
  sdk.start()
  return {
    port: endpoint.port,
    stop: async () => {
      endpoint.server.close()
      endpoint.server.closeAllConnections()
      await Promise.race([sdk.shutdown().catch(() => undefined), sleep(FLUSH_TIMEOUT_MS, undefined, { ref: false })])
      for (const api of [metrics, trace, context, propagation]) api.disable()
    },
  }
}

function exports(exporter: PrometheusExporter) {
  if (!process.env.OTEL_EXPORTER_OTLP_ENDPOINT) {
    return { metricReaders: [exporter], spanProcessors: [], logRecordProcessors: [] }
  }
  const otlp = forgetful(new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() }))
  return { metricReaders: [exporter, otlp], logRecordProcessors: [] }
}

/**
 * A gauge that was once observed would be told for ever with its last value: the SDK merges each collection into the
 * ones before. Asked for deltas it does not, and a gauge is a gauge either way. What is unknown must be absent.
 */
function forgetful<R extends MetricReader>(reader: R): R {
  const select = reader.selectAggregationTemporality.bind(reader)
  reader.selectAggregationTemporality = (type) =>
    type === InstrumentType.OBSERVABLE_GAUGE ? AggregationTemporality.DELTA : select(type)
  return reader
}
