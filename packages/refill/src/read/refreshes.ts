/**
 * The loads that go on behind readers who were served a stale value. One of a key in this process, as many as the bound in
 * all: what is beyond it is left to a later read. Nobody waits for them, so whatever is amiss they have to tell themselves.
 */
export class Refreshes {
  readonly #most: number
  readonly #running = new Map<string, Promise<void>>()

  constructor(most: number) {
    this.#most = most
  }

  /**
   * @param refresh must not throw
   * @returns false when there are too many
   */
  start(key: string, refresh: () => Promise<void>): boolean {
    if (this.#running.has(key)) return true
    if (this.#running.size >= this.#most) return false
    this.#running.set(
      key,
      refresh().finally(() => this.#running.delete(key)),
    )
    return true
  }

  /** When those that are running have ended, each by its own bounds. */
  async ended(): Promise<void> {
    await Promise.all(this.#running.values())
  }
}
