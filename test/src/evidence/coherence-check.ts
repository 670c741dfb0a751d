import type { Reading } from '@tidemark/refill'
import type { PipelineContext } from '../pipeline/pipeline-context.ts'
import { type Claim, type CommitHistory, falsehoodOf, historyOf } from './commit-history.ts'
import { LogRecorder } from './log-recorder.ts'

/** Reads hot rows all the time and keeps what was served as fresh, to be held against the history afterwards. */
export class Readers {
  readonly #recorder: LogRecorder
  readonly #claims: Claim[] = []
  readonly #from = new Map<string, number>()
  readonly #ended: Promise<unknown>
  #failures = 0
  #running = true

  private constructor(recorder: LogRecorder, { nextId, read }: ReadersOptions) {
    this.#recorder = recorder
    const readOn = async () => {
      while (this.#running) await this.#note(nextId(), read)
    }
    this.#ended = Promise.all(Array.from({ length: READERS }, readOn))
  }

  /** @param what the rows to read, any of them at a time; or how to choose one, and how to read it */
  static async start(context: PipelineContext, what: readonly number[] | ReadersOptions): Promise<Readers> {
    const recorder = await LogRecorder.start(context.primary, `${context.name}_history`, ['hot'])
    if ('read' in what) return new Readers(recorder, what)
    const counters = await context.counters()
    const nextId = () => what[Math.floor(Math.random() * what.length)]!
    return new Readers(recorder, { nextId, read: (id) => counters.read({ id }) })
  }

  get count(): number {
    return this.#claims.length
  }

  /** Stops reading, and says what was served as fresh and was not. */
  async stop(epoch = 1): Promise<ReadersReport> {
    this.#running = false
    await this.#ended
    const history = await historyOf(this.#recorder.finish(), epoch)
    const false_ = this.#claims.map((c) => falsehoodOf(c, history)).filter((f) => f !== null)
    return {
      fresh: this.#claims.length,
      failures: this.#failures,
      from: Object.fromEntries(this.#from),
      history,
      falsehoods: false_,
    }
  }

  async #note(id: number, read: ReadCounter): Promise<void> {
    try {
      const { value, freshness, position, label, from } = await read(id)
      this.#from.set(from, (this.#from.get(from) ?? 0) + 1)
      if (freshness === 'fresh') this.#claims.push({ id: String(id), n: value, position, label })
    } catch {
      this.#failures++ // a refusal is honest; how many there were is in the report
    }
  }
}

type ReadCounter = (id: number) => Promise<Reading<number>>

export interface ReadersOptions {
  readonly nextId: () => number
  readonly read: ReadCounter
}

export interface ReadersReport {
  readonly fresh: number
  readonly failures: number
  readonly from: Readonly<Record<string, number>>
  readonly history: CommitHistory
  readonly falsehoods: readonly string[]
}

const READERS = 4

/** Every key whose cell would be served as fresh now, and is not what the row holds. */
export async function staleCells(context: PipelineContext): Promise<string[]> {
  const { rows } = await context.primary.query<{ id: number; n: string }>('select id, n from hot')
  const counters = await context.counters({ replicas: [] })
  const stale: string[] = []
  for (const { id, n } of rows) {
    const reading = await counters.read({ id })
    if (reading.value !== Number(n)) stale.push(`${id}: ${reading.value} from ${reading.from} instead of ${n}`)
  }
  return stale
}
