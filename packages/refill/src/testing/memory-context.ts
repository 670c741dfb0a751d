import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  type Batch,
  DEFAULT_TOMBSTONE_LIMITS,
  decodePayload,
  encodePayload,
  type FeedSubscriber,
  Guard,
  partitionKeys,
  type RedisClient,
} from '@tidemark/guard'
import { waitUntil } from '@tidemark/local'
import { defineSource, type Position, position, type Version, version } from '@tidemark/protocol'
import { Memory, type MemoryOptions } from '../memory/memory.ts'

const DEADLINE_MS = 20_000
const LEASE_MS = 60_000
const TTL_MS = 600_000

export const at = (lsn: number): Position => position(1, BigInt(lsn))
export const commit = (lsn: number): Version => version(1, BigInt(lsn))

type Client = RedisClient & { disconnect(): void }
type Subscriber = FeedSubscriber & { disconnect(): void }

/** A region's Redis with its cells and one process that holds values of it; the test plays worker and app. */
export class MemoryContext implements AsyncDisposable {
  readonly source
  readonly guard: Guard
  readonly memory: Memory
  readonly #clients: readonly (Client | Subscriber)[]
  #offset = 0n
  #leases = 0

  constructor(redis: Client, subscriber: Subscriber, contract: object = {}, options: Partial<MemoryOptions> = {}) {
    this.source = defineSource({
      name: 'shop',
      partitions: 1,
      keyPrefix: `memory-${randomBytes(4).toString('hex')}`,
      keyspaces: {
        product: {
          key: 'product:{id}',
          tables: { 'public.product': { id: 'id' } },
          contract: { maxStalenessMs: 60_000, ...contract },
        },
      },
    })
    this.guard = new Guard(redis, partitionKeys(this.source.keyPrefix, 0))
    this.#clients = [redis, subscriber]
    const memory = Memory.open({ source: this.source, region: 'local' }, { subscriber, ...options })
    assert(memory)
    this.memory = memory
  }

  get channel(): string {
    return partitionKeys(this.source.keyPrefix, 0).feed
  }

  /** Opens the view at a watermark, with a value of each key, and waits until this process holds them. */
  async hold(...keys: string[]): Promise<void> {
    await this.guard.declareGap(this.#offset, 'first start', (await this.guard.view()) && this.#offset, 0)
    await this.apply({ watermark: { position: at(100), beatMs: Date.now() } })
    for (const key of keys) await this.store(key, 100, 'first')
    await this.heldAgain(...keys)
  }

  /** Beats until each is held: the subscription may not be there yet, and what a beat follows is not told. */
  async heldAgain(...keys: string[]): Promise<void> {
    const isHeld = async () => {
      await this.apply({ watermark: { position: at(100), beatMs: Date.now() } })
      for (const key of keys) await this.read(key)
      return keys.every((key) => this.held(key) !== null)
    }
    await waitUntil(`${keys} are held`, isHeld, { timeoutMs: DEADLINE_MS })
  }

  async untilNotHeld(key: string): Promise<void> {
    await waitUntil(`${key} is not held`, async () => this.held(key) === null, { timeoutMs: DEADLINE_MS, everyMs: 5 })
  }

  /** What this process holds and may serve as fresh. */
  held(key: string): unknown {
    const answer = this.memory.answer(key, this.#terms, Date.now())
    if (!answer?.verdict.fresh) return null
    const { content } = answer.copy
    return content.shared ? content.value : content.payload.body.toString()
  }

  /** A look in Redis, and what it brings is kept if it may be. */
  async read(key: string): Promise<unknown> {
    const read = this.memory.begin(key)
    const sight = await this.guard.look(key)
    if (sight.cell === null) return null
    const payload = decodePayload(sight.cell.payload)
    const value = payload.body.toString()
    this.memory.keep(read, key, this.source.keyspaces.product, sight, payload, value)
    return value
  }

  async store(key: string, low: number, value: string): Promise<void> {
    const id = (++this.#leases).toString(16).padStart(16, '0')
    const { cell } = await this.guard.look(key)
    await this.guard.lease(key, 'product', id, LEASE_MS, cell?.label.low ?? null)
    const payload = encodePayload({ body: Buffer.from(value), storedAt: Date.now() })
    const label = { low: at(low), high: at(low) }
    const filled = await this.guard.fill(key, 'product', id, { label, loadedAt: null, ttlMs: TTL_MS, payload })
    assert.equal(filled.code, 'stored')
  }

  apply(part: Partial<Batch>): Promise<void> {
    return this.#applyBy(this.guard, part)
  }

  /** By another worker. */
  applyBy(redis: RedisClient, part: Partial<Batch>): Promise<void> {
    return this.#applyBy(new Guard(redis, partitionKeys(this.source.keyPrefix, 0)), part)
  }

  async #applyBy(guard: Guard, part: Partial<Batch>): Promise<void> {
    const from = this.#offset
    const batch = { from, next: from + 1n, epochStart: null, floors: [], events: [], watermark: null, ...part }
    const result = await guard.apply(batch, DEFAULT_TOMBSTONE_LIMITS)
    assert.equal(result.code, 'applied')
    this.#offset = batch.next
  }

  /** Redis went back: the next batch begins at the offset that it stores. */
  goOnAt(offset: bigint): void {
    this.#offset = offset
  }

  get offset(): bigint {
    return this.#offset
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.memory[Symbol.asyncDispose]()
    for (const client of this.#clients) client.disconnect()
  }

  get #terms() {
    const { contract } = this.source.keyspaces.product
    return { keyspace: 'product', contract, clockSkewMs: 0, demand: null }
  }
}
