import { readFileSync } from 'node:fs'

const SAMPLE_MS = 100
const MEBIBYTE_KB = 1024

/** What another process holds in memory, from /proc: the peak since the last question, sampled ten times a second. */
export class ResidentMemory implements Disposable {
  readonly #pid: number
  readonly #timer: NodeJS.Timeout
  #peakMb = 0

  constructor(pid: number) {
    this.#pid = pid
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS)
    this.#sample()
  }

  /** In MiB, rounded up. */
  takePeakMb(): number {
    this.#sample()
    const peakMb = this.#peakMb
    this.#peakMb = 0
    return peakMb
  }

  #sample(): void {
    const resident = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))?.[1]
    this.#peakMb = Math.max(this.#peakMb, Math.ceil(Number(resident) / MEBIBYTE_KB))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
