import type { Logger } from '@tidemark/service'

/** Says once of each epoch, for all partitions, that it was adopted, and that records of it are refused. */
export class EpochLog {
  readonly #log: Logger
  #adopted = 0
  #refused = 0

  constructor(log: Logger) {
    this.#log = log
  }

  adopted(epoch: number): void {
    if (epoch <= this.#adopted) return
    this.#adopted = epoch
    this.#log.info({ epoch }, 'epoch adopted: what an older one says is refused from here on')
  }

  /** Of several that have ended only what is newer than the last one told is news. */
  refused(epoch: number, adopted: number): void {
    if (epoch <= this.#refused) return
    this.#refused = epoch
    this.#log.warn({ epoch, adopted }, 'records of an ended epoch are refused: an abandoned publisher still writes')
  }
}
