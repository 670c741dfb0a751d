import type { Pool } from 'pg'

/** Writers that count hot rows up, one commit each, until they are stopped. */
export class Writers implements AsyncDisposable {
  #running = true
  readonly #ended: Promise<unknown>
  #commits = 0

  constructor(pool: Pool, ids: readonly number[], count: number, pause: () => Promise<void> = async () => undefined) {
    const write = async () => {
      while (this.#running) {
        const id = ids[Math.floor(Math.random() * ids.length)]
        await pool.query('update hot set n = n + 1 where id = $1', [id])
        this.#commits++
        await pause()
      }
    }
    this.#ended = Promise.all(Array.from({ length: count }, write))
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
