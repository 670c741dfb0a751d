import type { FeedMessage } from './feed-message.ts'
import { offsetOf, type View } from './view.ts'

/** Why nothing that was told of a partition until now can be built upon. */
export type Loss =
  | 'first' // nothing was told before it
  | 'hole' // batches before it were not told
  | 'again' // it begins below what was told: Redis went back
  | 'gap' // the worker missed invalidations
  | 'epoch' // another history; its start is the floor of every keyspace
  | 'many' // more keys than a message names
  | 'malformed' // not a message of ours
  | 'disconnected' // the connection broke, or came back
  | 'silent' // no message for too long
  | 'closed' // nobody listens any more

/** Where one partition's feed stands. Pure: the clock and the connection are the feed's business. */
export class PartitionFeed {
  #last: FeedMessage | null = null

  /** The offset up to which everything was told; null while nothing can be built upon. */
  get next(): bigint | null {
    return this.#last?.next ?? null
  }

  /** Takes the next message; null when it goes on where the last one ended. */
  accept(message: FeedMessage): Loss | null {
    const loss = lossBetween(this.#last, message)
    this.#last = message
    return loss
  }

  lose(): void {
    this.#last = null
  }

  /**
   * Whether a cell that was read together with this view may be kept in the process: nothing that was told until now
   * is missing in it. A read from a replica or from a server that was failed over may be behind what was told.
   */
  mayKeep(view: View | null): boolean {
    const last = this.#last
    if (last === null || last.gap !== undefined || view === null || view.gap !== undefined) return false
    return offsetOf(view) >= last.next && view.epoch >= last.epoch
  }
}

function lossBetween(last: FeedMessage | null, message: FeedMessage): Loss | null {
  if (last === null) return 'first'
  if (message.gap !== undefined) return 'gap'
  if (message.from > last.next) return 'hole'
  if (message.from < last.next) return 'again'
  if (message.epoch !== last.epoch) return 'epoch'
  return message.many ? 'many' : null
}
