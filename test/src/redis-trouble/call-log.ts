import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What the calls and loads of one phase came to. Times in ms. */
export interface PhaseReport {
  readonly phase: string
  readonly calls: number
  /** Of each call, ascending. */
  readonly latencies: readonly number[]
  readonly p50: number
  readonly p99: number
  readonly max: number
  /** How late the event loop itself was: what this machine adds to every wait. */
  readonly loopP99: number
  /** Calls by what they came to: where the value came from, or the error's code. */
  readonly ends: Readonly<Record<string, number>>
  readonly loads: number
  /** Most loads that began within one second. */
  readonly loadsPerSecond: number
  /** Most loads of one key. */
  readonly loadsPerKey: number
}

/** Takes down calls and loads, phase by phase. */
export class CallLog {
  #latencies: number[] = []
  #ends: Record<string, number> = {}
  #loads: { readonly key: number; readonly at: number }[] = []
  #delay = watched()

  called(end: string, ms: number): void {
    this.#latencies.push(ms)
    this.#ends[end] = (this.#ends[end] ?? 0) + 1
  }

  loaded(key: number): void {
    this.#loads.push({ key, at: performance.now() })
  }

  /** What came since the last one was taken. */
  take(phase: string): PhaseReport {
    const sorted = this.#latencies.sort((a, b) => a - b)
    const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)
    const report = {
      phase,
      calls: sorted.length,
      latencies: sorted,
      p50: at(0.5),
      p99: at(0.99),
      max: at(1),
      loopP99: Math.round(this.#delay.percentile(99) / 1e6),
      ends: this.#ends,
      loads: this.#loads.length,
      loadsPerSecond: mostInASecond(this.#loads.map((load) => load.at)),
      loadsPerKey: mostOfOne(this.#loads.map((load) => load.key)),
    }
    this.#latencies = []
    this.#ends = {}
    this.#loads = []
    this.#delay.disable()
    this.#delay = watched()
    return report
  }
}

function watched() {
  const histogram = monitorEventLoopDelay({ resolution: 10 })
  histogram.enable()
  return histogram
}

function mostInASecond(times: readonly number[]): number {
  let first = 0
  let most = 0
  for (const [last, at] of times.entries()) {
    while (at - times[first]! > 1_000) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}

function mostOfOne(keys: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1)
  return Math.max(0, ...counts.values())
}
