/**
 * The newest epoch that this worker has met, in a view or a record of any partition. A partition whose view is gone
 * begins with it: by its own records alone it would trust the watermark of an epoch that is abandoned elsewhere.
 */
export class NewestEpoch {
  #value = 0

  /** 0 before any was met. */
  get value(): number {
    return this.#value
  }

  meet(...epochs: number[]): void {
    this.#value = Math.max(this.#value, ...epochs)
  }
}
