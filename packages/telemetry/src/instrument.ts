import { type Attributes, type Meter, metrics } from '@opentelemetry/api'
import { type Label, type LabelsOf, METRICS, type Metric, type MetricName, type MetricNamed } from './metric-table.ts'

/** The values that are known beforehand of the labels that the caller gives. */
export type KnownValues = Readonly<Partial<Record<Exclude<Label, readonly string[]>, readonly string[]>>>

/**
 * The global meter. There is none before `startTelemetry`, and the API hands out no proxy for a later one: what is
 * made earlier records nothing.
 */
function meter(): Meter {
  return metrics.getMeter('tidemark')
}

/** Adds to a counter; it stands at zero for every combination of known labels from the first scrape on. */
export function counter<N extends MetricNamed<'counter'>>(
  name: N,
  known: KnownValues,
): (labels: LabelsOf<N>, count?: number) => void {
  const metric: Metric = METRICS[name]
  const instrument = meter().createCounter(name, { description: metric.meaning, unit: metric.unit })
  for (const labels of combinations(metric, known)) instrument.add(0, labels)
  return (labels, count = 1) => instrument.add(count, labels as Attributes)
}

/** Records into a histogram with the table's buckets. */
export function histogram<N extends MetricNamed<'histogram'>>(name: N): (labels: LabelsOf<N>, value: number) => void {
  const metric: Metric = METRICS[name]
  const instrument = meter().createHistogram(name, {
    description: metric.meaning,
    unit: metric.unit,
    advice: { explicitBucketBoundaries: [...(metric.buckets ?? [])] },
  })
  return (labels, value) => instrument.record(value, labels as Attributes)
}

/** One reading of a gauge. */
export interface Reading<N extends MetricName> {
  readonly labels: LabelsOf<N>
  /** Undefined or not finite: unknown, and so absent from the scrape. */
  readonly value: number | undefined
}

/** A gauge that is read at each scrape. */
export function gauge<N extends MetricNamed<'gauge'>>(name: N, read: () => readonly Reading<N>[]): void {
  const metric: Metric = METRICS[name]
  const instrument = meter().createObservableGauge(name, { description: metric.meaning, unit: metric.unit })
  instrument.addCallback((result) => {
    for (const { labels, value } of read()) {
      if (value !== undefined && Number.isFinite(value)) result.observe(value, labels as Attributes)
    }
  })
}

/** Every combination of label values that is known; none when some label's values are not. */
function combinations(metric: Metric, known: KnownValues): Attributes[] {
  let all: Attributes[] = [{}]
  for (const [name, label] of Object.entries(metric.labels)) {
    const values = typeof label === 'string' ? (known[label] ?? []) : label
    all = all.flatMap((labels) => values.map((value) => ({ ...labels, [name]: value })))
  }
  return all
}
