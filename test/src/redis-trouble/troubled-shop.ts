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

export const TIMINGS = { readMs: 3_000, redisTimeoutMs: 250, redisPauseMs: 1_000, leaseMs: 1_000, leaseWaitMs: 2_000 }
/** Of the region, each with a client and a limit of its own. */
export const APPS = 2
/** Of each app. */
export const PRIMARY_LIMIT = { perSecond: 50, burst: 25, waitMs: 50 }

type Products = Cache<{ readonly id: number }, Product | undefined>

interface App {
  readonly redis: RegionRedis
  readonly products: Products
}

/** A shop whose 64 callers go on asking its apps, whatever becomes of its Redis. Every load goes to the primary. */
export class TroubledShop implements AsyncDisposable {
  readonly log = new CallLog()
  readonly #shop: ShopContext
  readonly #apps: readonly App[]
  readonly #resources: AsyncDisposableStack
  readonly #closing = new AbortController()

  private constructor(shop: ShopContext, log: CallLog, apps: readonly App[], resources: AsyncDisposableStack) {
    this.#shop = shop
    this.log = log
    this.#apps = apps
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
    const apps: App[] = []
    for (let n = 0; n < APPS; n++) apps.push(await openApp(shop, redisUrl, log, resources))
    const ids = Array.from({ length: WARM_KEYS }, (_, i) => ({ id: i + 1 }))
    await (await warmer(shop, apps[0]!.redis)).readMany(ids)
    const troubled = new TroubledShop(shop, log, apps, resources.move())
    troubled.#start()
    return troubled
  }

  /** As the region's worker does once it finds a Redis that is empty. What is loaded from then on is of the next phase. */
  async trust(): Promise<void> {
    await this.#shop.openView()
    const end = await this.#shop.here()
    this.log.take('the change')
    await this.#shop.beat(end)
  }

  /** Every client has found it again. */
  async reached(): Promise<void> {
    await Promise.all(this.#apps.map(({ redis }) => untilReached(redis)))
  }

  async servedAgain(): Promise<void> {
    const isHit = async ({ products }: App) => (await products.read({ id: 1 })).from === 'redis'
    const isServed = (app: App) => waitUntil('Redis serves again', () => isHit(app), { timeoutMs: SERVED_AGAIN_MS })
    await Promise.all(this.#apps.map(isServed))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#resources.disposeAsync()
  }

  #start(): void {
    const callers = Promise.all(
      Array.from({ length: CALLERS }, (_, n) => this.#call(this.#apps[n % APPS]!, randomOf(n))),
    )
    this.#resources.defer(() => callers.then(() => undefined))
  }

  /** Ends when the shop closes, after the call in hand, which is bounded: that is what is measured. */
  async #call({ products }: App, random: Random): Promise<void> {
    while (!this.#closing.signal.aborted) {
      const id = random() < COLD_SHARE ? between(random, HOT_KEYS + 1, KEYS) : between(random, 1, HOT_KEYS)
      const start = performance.now()
      const end = await products.read({ id }).then(
        ({ from, freshness }) => `${freshness} from ${from}`,
        (error: Error) =>
          isTidemarkError(error) ? `${error.code}${/ \(.*?\)/.exec(error.message)?.[0]}` : String(error),
      )
      this.log.called(end, performance.now() - start)
      await sleep(PAUSE_MS)
    }
  }
}

async function openApp(shop: ShopContext, url: string, log: CallLog, resources: AsyncDisposableStack): Promise<App> {
  const options = { clientName: 'troubled', commandTimeoutMs: TIMINGS.redisTimeoutMs }
  const redis = resources.adopt(new RegionRedis(redisAt(url), options), (client) => client.close())
  await untilReached(redis)
  const tidemark = await shop.open({ redis, replicas: [], timings: TIMINGS, primaryLimit: PRIMARY_LIMIT })
  const load = async (db: Connection, params: { readonly id: number }) => {
    log.loaded(params.id)
    return loadOne(db, params)
  }
  return { redis, products: tidemark.cache('product', { load }) }
}

/** Without the limit, and without a note. */
async function warmer(shop: ShopContext, redis: RegionRedis): Promise<Products> {
  return (await shop.open({ redis, replicas: [] })).cache('product', { load: loadOne })
}

async function loadOne(db: Connection, { id }: { readonly id: number }): Promise<Product | undefined> {
  return (await db.query<Product>(PRODUCT, [id])).rows[0]
}

async function untilReached(redis: RegionRedis): Promise<void> {
  await waitUntil('Redis is reached', async () => (await redis.ping()) === undefined, { timeoutMs: SERVED_AGAIN_MS })
}
