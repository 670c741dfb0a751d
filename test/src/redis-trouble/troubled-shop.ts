import { setTimeout as sleep } from 'node:timers/promises'
import { waitUntil } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { RegionRedis, redisAt } from '@tidemark/redis'
import type { Cache, Connection } from '@tidemark/refill'
import { PRODUCT, type Product, ShopContext } from '../../../packages/refill/src/testing/shop-context.ts'
import { between, type Random, randomOf } from '../seeded-random.ts'
import { CallLog } from './call-log.ts'

const CALLERS = 64
const HOT_KEYS = 10
const WARM_KEYS = 500
const KEYS = 2_000
const COLD_SHARE = 0.05
/** Between two calls of a caller: all of them ask about two thousand times a second. */
const PAUSE_MS = 30
const SERVED_AGAIN_MS = 20_000

export const TIMINGS = { redisTimeoutMs: 250, redisPauseMs: 1_000, leaseMs: 1_000, leaseWaitMs: 2_000 }
export const PRIMARY_LIMIT = { perSecond: 100, burst: 50, waitMs: 50 }

type Products = Cache<{ readonly id: number }, Product | undefined>

/** A shop whose 64 callers go on asking, whatever becomes of its Redis. Every load goes to the primary. */
export class TroubledShop implements AsyncDisposable {
  readonly log = new CallLog()
  readonly #shop: ShopContext
  readonly #products: Products
  readonly #resources: AsyncDisposableStack
  readonly #closing = new AbortController()

  private constructor(shop: ShopContext, log: CallLog, products: Products, resources: AsyncDisposableStack) {
    this.#shop = shop
    this.log = log
    this.#products = products
    this.#resources = resources
  }

  /**
   * @param redisUrl as services are given it
   * @param ownerUrl of the server that the worker's part of it writes to
   */
  static async open(redisUrl: string, ownerUrl = redisUrl): Promise<TroubledShop> {
    await using resources = new AsyncDisposableStack()
    const contract = { maxStalenessMs: 3_600_000 }
    const shop = resources.use(await ShopContext.open(contract, { redisUrls: { 'eu-west': ownerUrl } }))
    await shop.primary.query(`insert into product select i, 'p', 1999 from generate_series(101, ${KEYS}) i`)
    await shop.trust()
    const log = new CallLog()
    const options = { clientName: 'troubled', commandTimeoutMs: TIMINGS.redisTimeoutMs }
    const redis = resources.adopt(new RegionRedis(redisAt(redisUrl), options), (client) => client.close())
    await waitUntil('Redis is reached', async () => (await redis.ping()) === undefined, { timeoutMs: SERVED_AGAIN_MS })
    const loadOne = async (db: Connection, { id }: { readonly id: number }) => {
      log.loaded(id)
      return (await db.query<Product>(PRODUCT, [id])).rows[0]
    }
    const open = async (more: object) =>
      (await shop.open({ redis, replicas: [], timings: TIMINGS, ...more })).cache('product', { load: loadOne })
    await warm(await open({}))
    const troubled = new TroubledShop(shop, log, await open({ primaryLimit: PRIMARY_LIMIT }), resources.move())
    troubled.#start()
    return troubled
  }

  /** As the region's worker does once it finds a Redis that is empty. */
  async trust(): Promise<void> {
    await this.#shop.trust()
  }

  async servedAgain(): Promise<void> {
    const isHit = async () => (await this.#products.read({ id: 1 })).from === 'redis'
    await waitUntil('Redis serves again', isHit, { timeoutMs: SERVED_AGAIN_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#resources.disposeAsync()
  }

  #start(): void {
    const callers = Promise.all(Array.from({ length: CALLERS }, (_, seed) => this.#call(randomOf(seed))))
    this.#resources.defer(() => callers.then(() => undefined))
  }

  /** Ends when the shop closes, after the call in hand, which is bounded: that is what is measured. */
  async #call(random: Random): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const id = random() < COLD_SHARE ? between(random, HOT_KEYS + 1, KEYS) : between(random, 1, HOT_KEYS)
      const start = performance.now()
      const end = await this.#products.read({ id }).then(
        ({ from, freshness }) => `${freshness} from ${from}`,
        (error: Error) =>
          isTidemarkError(error) ? `${error.code}${/ \(.*?\)/.exec(error.message)?.[0]}` : String(error),
      )
      this.log.called(end, performance.now() - start)
      await sleep(PAUSE_MS)
    }
  }
}

async function warm(products: Products): Promise<void> {
  const ids = Array.from({ length: WARM_KEYS }, (_, i) => ({ id: i + 1 }))
  await products.readMany(ids)
}
