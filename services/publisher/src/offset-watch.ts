import { TidemarkError } from '@tidemark/protocol'

/**
 * Watches that Kafka keeps what it acknowledged: of each partition, offsets only grow. One that goes back means that
 * acknowledged records are gone (an unclean election, a topic made anew); Postgres was told long ago that they are
 * safe, so nobody will send them again. Lives as long as the process, across producers.
 */
export class OffsetWatch {
  readonly #next = new Map<number, bigint>()

  /** Throws BUS_LOST_RECORDS when the base offset lies before what was acknowledged earlier. */
  acknowledged(partition: number, baseOffset: bigint, records: number): void {
    if (baseOffset < 0n) {
      throw new TidemarkError('SERVER_UNREACHABLE', `Kafka did not say where partition ${partition} ends`)
    }
    const next = this.#next.get(partition) ?? 0n
    if (baseOffset < next) {
      throw new TidemarkError('BUS_LOST_RECORDS', `partition ${partition} went from ${next} back to ${baseOffset}`)
    }
    this.#next.set(partition, baseOffset + BigInt(records))
  }

  /** A new epoch is being opened: what is gone is covered by it. */
  forget(): void {
    this.#next.clear()
  }
}
