import { isTidemarkError, type Position, type Version } from '@tidemark/protocol'
import { decodeFeedMessage, type FeedMessage } from './feed-message.ts'
import { partitionKeys } from './keys.ts'
import { type Loss, PartitionFeed } from './partition-feed.ts'
import type { View } from './view.ts'

/** What the feed needs of a client in subscriber mode; ioredis' `Redis` and `Cluster` have it. It resubscribes by itself. */
export interface FeedSubscriber {
  subscribe(...channels: string[]): Promise<unknown>
  unsubscribe(...channels: string[]): Promise<unknown>
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  on(event: 'close' | 'ready', listener: () => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'close' | 'ready', listener: () => void): unknown
}

/** What a listener is told of a partition. */
export type News =
  /** Forget all that is kept of it, and what is being read for it. */
  | { readonly partition: number; readonly dropped: Loss }
  /**
   * Forget these keys, and what is being read for them. Where floors are given, forget what begins below them and all
   * that is being read. From now on judge by this watermark and beat.
   */
  | {
      readonly partition: number
      readonly keys: readonly string[]
      readonly floors?: Readonly<Record<string, Position>>
      readonly watermark: Position
      readonly newest: Version
      readonly beat: number
    }

export interface FeedOptions {
  readonly subscriber: FeedSubscriber
  readonly prefix: string
  readonly partitions: readonly number[]
  /** Longest time without a message of a partition, in ms; longer than a beat. */
  readonly silenceMs: number
  readonly listener: (news: News) => void
}

const LOOKS_PER_SILENCE = 4

/**
 * Tells in-process caches what is applied in their region's Redis. Pub/sub keeps nothing for a subscriber that is away
 * and says nothing of what it did not deliver, so the messages are numbered by the Kafka offsets of their batches, and
 * whatever does not go on exactly where the last message ended is a loss: forget everything of the partition.
 *
 * Who keeps copies of cells follows four rules:
 * 1. A read is remembered before it begins.
 * 2. News are followed before anything else is done; reads under way are forgotten as copies are.
 * 3. What was read is kept if it is live and above its floor, its read is still remembered, and {@link mayKeep} says so
 *    of the view that was read with it in one command. Whoever waits for the read may have it in any case.
 * 4. A copy is judged by the watermark and beat of the newest news, never by those of a view that was read since.
 *
 * Then no copy lacks an invalidation that the process was told, and none that it was not told is covered by the
 * watermark which the copy is judged by. For let a copy have been read with the view's offset at `o`, and let a batch
 * from `a` to `b` hold its key. If `b <= o`, the cell had it. Otherwise `a >= o`, since views stand between batches, and
 * by rule 3 nothing from `o` on had been told when the copy was kept: the batch is told later and takes the copy along;
 * or its message is lost, and no later one goes on where the last one ended. Until that is noticed nobody has been told
 * a watermark that covers the batch, and the copy's age grows with the last beat. A repair has no offsets of its own: a
 * read that began before it is forgotten by rule 2. A Redis that lost its latest writes stands below `next`, so nothing
 * read from it is kept until it has caught up, or was heard to begin again; what it applies meanwhile was told before.
 *
 * A break that is seen is told at once, and once more when the connection is back. One that is not (a Cluster's bus, a
 * server that took over) shows in the next message, and the silence before it has a bound, by the local clock.
 */
export class Feed implements AsyncDisposable {
  readonly #options: FeedOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #timer: NodeJS.Timeout
  #isClosed = false

  /** Subscribes. Nothing may be kept of a partition until its first message, within a beat. */
  static async open(options: FeedOptions): Promise<Feed> {
    const feed = new Feed(options)
    try {
      await options.subscriber.subscribe(...feed.#lanes.keys())
      return feed
    } catch (error) {
      feed.#stop()
      throw error
    }
  }

  private constructor(options: FeedOptions) {
    this.#options = options
    for (const partition of options.partitions) {
      const lane = { partition, feed: new PartitionFeed(), heardAtMs: performance.now() }
      this.#lanes.set(partitionKeys(options.prefix, partition).feed, lane)
    }
    options.subscriber.on('message', this.#heard)
    options.subscriber.on('close', this.#broke)
    options.subscriber.on('ready', this.#broke)
    this.#timer = setInterval(this.#lookForSilence, options.silenceMs / LOOKS_PER_SILENCE).unref()
  }

  /** Whether a cell of the partition that was read together with this view may be kept. */
  mayKeep(partition: number, view: View | null): boolean {
    return this.#lanes.get(partitionKeys(this.#options.prefix, partition).feed)?.feed.mayKeep(view) ?? false
  }

  /** Ends it; everything is told as dropped. The subscriber's connection stays its owner's. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#stop()
    // A connection that is gone has no subscriptions left.
    await this.#options.subscriber.unsubscribe(...this.#lanes.keys()).catch(() => undefined)
  }

  readonly #heard = (channel: string, text: string): void => {
    const lane = this.#lanes.get(channel)
    if (lane === undefined) return
    lane.heardAtMs = performance.now()
    const message = decoded(text)
    if (message === null) this.#lose(lane, 'malformed')
    else this.#take(lane, message)
  }

  #take({ partition, feed }: Lane, message: FeedMessage): void {
    const dropped = feed.accept(message)
    if (dropped !== null) this.#options.listener({ partition, dropped })
    if (message.gap !== undefined) return
    const { keys, floors, watermark, newest, beat } = message
    this.#options.listener({ partition, keys, ...(floors && { floors }), watermark, newest, beat })
  }

  readonly #broke = (): void => {
    for (const lane of this.#lanes.values()) this.#lose(lane, 'disconnected')
  }

  readonly #lookForSilence = (): void => {
    const before = performance.now() - this.#options.silenceMs
    for (const lane of this.#lanes.values()) {
      if (lane.feed.next !== null && lane.heardAtMs < before) this.#lose(lane, 'silent')
    }
  }

  #lose(lane: Lane, dropped: Loss): void {
    lane.feed.lose()
    this.#options.listener({ partition: lane.partition, dropped })
  }

  #stop(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
    const { subscriber } = this.#options
    subscriber.off('message', this.#heard)
    subscriber.off('close', this.#broke)
    subscriber.off('ready', this.#broke)
    for (const lane of this.#lanes.values()) this.#lose(lane, 'closed')
  }
}

interface Lane {
  readonly partition: number
  readonly feed: PartitionFeed
  /** By the local monotonic clock. */
  heardAtMs: number
}

function decoded(text: string): FeedMessage | null {
  try {
    return decodeFeedMessage(text)
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return null
    throw error
  }
}
