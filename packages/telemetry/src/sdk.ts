import { setTimeout as sleep } from 'node:timers/promises'
import { metrics } from '@opentelemetry/api'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-proto'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
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
  const exporter = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true })
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
      metrics.disable()
    },
  }
}

function exports(exporter: PrometheusExporter) {
  if (!process.env.OTEL_EXPORTER_OTLP_ENDPOINT) {
    return { metricReaders: [exporter], spanProcessors: [], logRecordProcessors: [] }
  }
  const otlp = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })
  return { metricReaders: [exporter, otlp], logRecordProcessors: [] }
}
