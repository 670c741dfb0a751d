import { setTimeout as sleep } from 'node:timers/promises'
import { Feed, type FeedSubscriber, type Loss, type Payload, type Sight, type Terms } from '@tidemark/guard'
import { type Keyspace, partitionOf, type Source } from '@tidemark/protocol'
import { z } from 'zod'
import { having, LONGEST_TIMER_MS, whole } from '../bounds.ts'
import { inTime } from '../deadline.ts'
import { emit } from '../events.ts'
import { type Answer, Copies, type Read } from './copies.ts'
import { copyOf } from './copy.ts'

/** Values that this process holds in its own memory, in front of Redis. */
export interface MemoryOptions {
  /** A client of the same Redis that is used for nothing else: it is put in subscriber mode. An ioredis `Redis` or `Cluster`. */
  readonly subscriber: FeedSubscriber
  /** Most values. */
  readonly maxEntries?: number
  /** Most bytes of values, as they are in Redis. */
  readonly maxBytes?: number
  /**
   * Without news of a partition for this long, in ms, its values are dropped. Longer than the publisher's beat; at most,
   * and unless given, the strictest `maxStalenessMs` of the keyspaces that are kept.
   */
  readonly silenceMs?: number
}

interface MemoryHost {
  readonly source: Source
  readonly region: string
}

const DEFAULT_MAX_ENTRIES = 10_000
const DEFAULT_MAX_BYTES = 67_108_864
const RETRY_MS = 1_000
/** A server that is silent is not waited for at the end: the connection is the app's, and it will close it. */
const UNSUBSCRIBE_MS = 250

/**
 * The values of one region's keyspaces that this process holds. Nothing is held until the feed is heard: Redis is not
 * waited for at the start, and a subscription that fails is tried again behind the app.
 */
export class Memory implements AsyncDisposable {
  readonly #host: MemoryHost
  readonly #copies: Copies
  readonly #closing = new AbortController()
  #feed: Feed | null = null

  /** Null when no keyspace of the source is kept. */
  static open(host: MemoryHost, options: MemoryOptions): Memory | null {
    const strictestMs = strictestOf(host.source)
    if (strictestMs === null) return null
    const memory = new Memory(host, options)
    void memory.#listen(options.subscriber, Math.min(options.silenceMs ?? strictestMs, strictestMs))
    return memory
  }

  private constructor(host: MemoryHost, { maxEntries, maxBytes }: MemoryOptions) {
    this.#host = host
    const { name: source, partitions } = host.source
    const { region } = host
    this.#copies = new Copies({
      partitions,
      maxEntries: maxEntries ?? DEFAULT_MAX_ENTRIES,
      maxBytes: maxBytes ?? DEFAULT_MAX_BYTES,
      onDropped: (partition: number, cause: Loss, copies: number) =>
        emit({ source, region, event: 'memoryDropped', partition, cause, copies }),
      onEvicted: (copies) => emit({ source, region, event: 'memoryEvicted', copies }),
    })
  }

  /** What is held under a key, judged; null when there is nothing. Use it at once: later news may take it. */
  answer(key: string, terms: Terms, now: number): Answer | null {
    return this.#copies.answer(key, terms, now)
  }

  /** Called before Redis is asked for a key; what it answers is kept by this alone. */
  begin(key: string): Read {
    return this.#copies.begin(partitionOf(key, this.#host.source.partitions))
  }

  /** Keeps what was read, if it may be kept. What can be frozen of the value is frozen, kept or not. */
  keep(read: Read, key: string, keyspace: Keyspace, sight: Sight, payload: Payload, value: unknown): void {
    if (sight.cell === null) return
    const copy = copyOf(sight.cell, keyspace, payload, value, Date.now())
    // A value that depends on other rows would have to go when theirs go.
    if (payload.dependencies.length > 0 || this.#feed === null) return
    const feed = this.#feed
    this.#copies.keep(read, key, sight, copy, (partition, view) => feed.mayKeep(partition, view))
  }

  /** For what cannot be decoded. */
  forget(key: string): void {
    this.#copies.forget(key)
  }

  /** Ends the feed; nothing is held from now on. The subscriber stays its owner's. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    const feed = this.#feed
    this.#feed = null
    // Its copies are dropped at once; the server is only told.
    if (feed) await inTime(feed[Symbol.asyncDispose](), UNSUBSCRIBE_MS, 'Redis').catch(() => undefined)
  }

  /** Ends with the first subscription that holds, or at the end: the client keeps it up from then on. */
  async #listen(subscriber: FeedSubscriber, silenceMs: number): Promise<void> {
    const { source, region } = this.#host
    const { keyPrefix: prefix } = source
    const partitions = Array.from({ length: source.partitions }, (_, partition) => partition)
    const listener = this.#copies.follow.bind(this.#copies)
    const { signal } = this.#closing
    while (!signal.aborted) {
      try {
        const feed = await Feed.open({ subscriber, prefix, partitions, silenceMs, listener })
        if (signal.aborted) await feed[Symbol.asyncDispose]()
        else this.#feed = feed
        return
      } catch (error) {
        if (!signal.aborted) emit({ source: source.name, region, event: 'memoryFailed', error })
        await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }
}

export const memorySchema = z.strictObject({
  subscriber: having<FeedSubscriber>('a client of ioredis that is used for nothing else', 'subscribe', 'on'),
  maxEntries: whole(1).optional(),
  maxBytes: whole(1).optional(),
  silenceMs: whole(1, LONGEST_TIMER_MS).optional(),
})

/** Whether values of the keyspace are held. */
export function isKept({ contract }: Keyspace): boolean {
  return contract.memory && contract.reaction !== 'bypass'
}

/** The least time in which a keyspace that is kept goes stale, in ms. */
function strictestOf(source: Source): number | null {
  const kept = Object.values(source.keyspaces)
    .filter(isKept)
    .map(({ contract }) => contract.maxStalenessMs)
  return kept.length === 0 ? null : Math.min(...kept)
}
