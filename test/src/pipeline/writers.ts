import type { Pool } from 'pg'

/** Writers that commit one thing after the other until they are stopped. */
export class Writers implements AsyncDisposable {
  #running = true
  readonly #ended: Promise<unknown>
  #commits = 0

  /** @param commit makes the writer's next commit, and says whether it is known to have been made */
  constructor(count: number, commit: (writer: number) => Promise<boolean>) {
    const write = async (writer: number) => {
      while (this.#running) if (await commit(writer)) this.#commits++
    }
    this.#ended = Promise.all(Array.from({ length: count }, (_, writer) => write(writer)))
  }

  get commits(): number {
    return this.#commits
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Counts hot rows up, any of them at a time. */
export function countUp(
  pool: Pool,
  ids: readonly number[],
  writers: number,
  pause: () => Promise<void> = async () => undefined,
): Writers {
  return new Writers(writers, async () => {
    const id = ids[Math.floor(Math.random() * ids.length)]
    await pool.query('update hot set n = n + 1 where id = $1', [id])
    await pause()
    return true
  })
}
