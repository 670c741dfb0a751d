import { partitionKeys } from '@tidemark/guard'
import { partitionOf } from '@tidemark/protocol'
import type { Cache, Reading } from '@tidemark/refill'
import type { PipelineContext } from '../pipeline/pipeline-context.ts'
import { Tally } from './tally.ts'
import { loadRow, type WeightyRow } from './weighty-row.ts'

/** The same rows through Tidemark. */
export class GuardedCache {
  readonly tally = new Tally()
  readonly #context: PipelineContext
  readonly #rows: Cache<{ id: number }, WeightyRow>

  private constructor(context: PipelineContext, rows: Cache<{ id: number }, WeightyRow>) {
    this.#context = context
    this.#rows = rows
  }

  static async open(context: PipelineContext): Promise<GuardedCache> {
    const tidemark = await context.tidemark()
    const rows = tidemark.cache('hot', { load: (db, { id }) => loadRow(db, Number(id)) })
    return new GuardedCache(context, rows)
  }

  /** The counter alone, and what is known of it. */
  async read(id: number): Promise<Reading<number>> {
    let isHit = false
    try {
      const reading = await this.#rows.read({ id })
      isHit = reading.from === 'redis' && reading.freshness === 'fresh'
      return { ...reading, value: reading.value.n }
    } finally {
      this.tally.note(isHit)
    }
  }

  /** The counter that is cached and would be served as fresh; undefined when none is. */
  async cached(id: number): Promise<number | undefined> {
    if ((await this.#context.redis.exists(this.keyOf(id))) === 0) return undefined
    const { value, from, freshness } = await this.#rows.read({ id })
    return from === 'redis' && freshness === 'fresh' ? value.n : undefined
  }

  keyOf(id: number): string {
    const { keyPrefix, partitions } = this.#context.source
    const key = `hot:${id}`
    return partitionKeys(keyPrefix, partitionOf(key, partitions)).cell(key)
  }
}
