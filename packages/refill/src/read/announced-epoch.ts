import type { View } from '@tidemark/guard'

/**
 * The newest epoch that this process has met in the region. A view that is flushed forgets it: until the next
 * watermark nothing else tells a primary that was abandoned from the one that took its place.
 */
export class AnnouncedEpoch {
  #newest = 0

  get newest(): number {
    return this.#newest
  }

  met(view: View): void {
    this.#newest = Math.max(this.#newest, epochOfView(view))
  }
}

export function epochOfView(view: View): number {
  return Number.parseInt(view.epoch, 16)
}
