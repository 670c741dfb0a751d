import { waitUntil } from '@tidemark/local'
import { Health, startTelemetry, type Telemetry } from '@tidemark/telemetry'
import { pino } from 'pino'
import type { WorkerTuning } from '../worker.ts'
import type { RegionContext, RunningWorker } from './region-context.ts'
import type { WatermarkStream } from './watermark-stream.ts'

interface Line {
  readonly level: string
  readonly text: string
}

/** For tests: a worker, and all that it says to operators: its scrape, its probes, its log. */
export class ToldWorker implements AsyncDisposable {
  readonly worker: RunningWorker
  readonly lines: Line[] = []
  readonly #telemetry: Telemetry

  private constructor(ctx: RegionContext, telemetry: Telemetry, health: Health, tuning: Partial<WorkerTuning>) {
    this.#telemetry = telemetry
    const write = (line: string) => {
      const { level, msg } = JSON.parse(line) as { level: number; msg: string }
      this.lines.push({ level: pino.levels.labels[level] ?? '', text: msg })
    }
    this.worker = ctx.start(tuning, { health, log: pino({ level: 'info' }, { write }) })
  }

  static async start(ctx: RegionContext, tuning: Partial<WorkerTuning> = {}): Promise<ToldWorker> {
    const health = new Health()
    const telemetry = await startTelemetry({ service: 'worker-test', port: 0, health })
    return new ToldWorker(ctx, telemetry, health, tuning)
  }

  /** Why it is not ready; undefined when it is. */
  async unready(): Promise<string | undefined> {
    const { failing } = JSON.parse(await this.#get('/readyz')) as { failing: { reason: string }[] }
    return failing[0]?.reason
  }

  async untilUnready(reason: RegExp): Promise<string> {
    let told: string | undefined
    const look = async () => {
      told = await this.unready()
      return told !== undefined && reason.test(told)
    }
    await waitUntil(`/readyz says ${reason}`, look, { timeoutMs: 20_000 })
    return told!
  }

  async untilReady(): Promise<void> {
    await waitUntil('it is ready', async () => (await this.unready()) === undefined, { timeoutMs: 20_000 })
  }

  /** Ready, with a beat that goes on no longer than that. */
  async untilReadyWith(beats: WatermarkStream): Promise<void> {
    await using _ = beats
    await this.untilReady()
  }

  /** The value of a series; undefined when it is absent. */
  async reading(series: string): Promise<number | undefined> {
    const line = (await this.#get('/metrics')).split('\n').find((l) => l.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.slice(series.length))
  }

  /** What the log has said of the region's delay, without times. */
  delays(): string[] {
    const ofDelay = this.lines.filter(({ text }) => /^(cut off|behind) since|^current again/.test(text))
    return ofDelay.map(({ level, text }) => `${level}: ${text.replace(/ since.*|, after.*/, '')}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker[Symbol.asyncDispose]()
    await this.#telemetry.stop()
  }

  async #get(path: string): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.#telemetry.port}${path}`)).text()
  }
}
