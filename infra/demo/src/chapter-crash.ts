import { waitUntil } from '@tidemark/local'
import { audit } from './audit.ts'
import { sumOf } from './metrics-page.ts'
import { milliseconds } from './narrator.ts'
import { PacedWriter } from './paced-writer.ts'
import { PriceHistory } from './price-history.ts'
import { Readers, type Shown } from './readers.ts'
import type { Region } from './region.ts'
import { allProducts, endOfLog } from './shop-database.ts'
import { AWAY, KAFKA_SESSION_MS, PRODUCTS, type Stage } from './stage.ts'

const UPDATES = 10_000
const KILL_AT = 3_000
const START_AGAIN_AT = 7_000
const CUSTOMERS = 2
const WRITE_TIMEOUT_MS = 120_000
const CATCH_UP_TIMEOUT_MS = 60_000
/** The products that customers look at. Updates go to all of them, so that some stay cached for a while. */
const FRONT_PAGE = 1_000
const AT_ONCE = 8

// No price occurs twice, so that an old one can never pass for the new one.
const PLAN = { updates: UPDATES, perSecond: 1_250, products: PRODUCTS, firstCents: 1_000_000, lanes: 4 }

/** Chapter 4: a worker is killed in the middle of the updates, and nothing is lost. */
export async function workerIsKilled(stage: Stage): Promise<void> {
  stage.tell.chapter(4, `${AWAY}’s worker is killed in the middle of ${UPDATES} updates`)
  await customersLookAtThemAll(stage)
  const [atHome, inAway] = await whileCustomersRead(stage, async (history) => {
    const ending = new AbortController()
    const signal = AbortSignal.any([stage.signal, ending.signal])
    const writer = new PacedWriter(stage.primary, PLAN, history, signal)
    const writing = writer.run()
    try {
      await Promise.all([writing, killAndStartAgain(stage, writer)])
      await bothCatchUp(stage)
    } finally {
      ending.abort()
      await writing.catch(() => undefined) // thrown already, by what waited for it
    }
  })
  customersSaw(stage, stage.home, atHome)
  customersSaw(stage, stage.away, inAway)
  await customersLookAtThemAll(stage)
  await cachesEqualRows(stage, stage.home)
  await cachesEqualRows(stage, stage.away)
}

/** Misses become hits, and what is in a cache and stale stays there: nothing is mended by being read. */
async function customersLookAtThemAll({ home, away }: Stage): Promise<void> {
  await Promise.all([home, away].map((region) => lookAtThemAll(region)))
}

async function lookAtThemAll({ shop }: Region): Promise<void> {
  const customer = async (first: number) => {
    for (let id = first; id <= FRONT_PAGE; id += AT_ONCE) await shop.read(id)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => customer(i + 1)))
}

async function whileCustomersRead(
  { home, away, signal }: Stage,
  happens: (history: PriceHistory) => Promise<void>,
): Promise<[Shown, Shown]> {
  const history = new PriceHistory()
  const crowd = { products: FRONT_PAGE, customers: CUSTOMERS, signal }
  const atHome = new Readers(home, history, crowd)
  const inAway = new Readers(away, history, crowd)
  try {
    await happens(history)
  } finally {
    await Promise.all([atHome.stop(), inAway.stop()])
  }
  return [await atHome.stop(), await inAway.stop()]
}

async function killAndStartAgain(stage: Stage, writer: PacedWriter): Promise<void> {
  const { away, services, claims, signal } = stage
  const wait = { timeoutMs: WRITE_TIMEOUT_MS, signal }
  await waitUntil('the first updates are written', () => writer.written >= KILL_AT, wait)
  const exit = await services.awayWorker.kill()
  const stored = await away.storedOffset()
  claims.claim('the worker is dead', exit.signal === 'SIGKILL', `kill -9 after ${writer.written} updates`)
  await waitUntil('more updates are written', () => writer.written >= START_AGAIN_AT, wait)

  await outdatedMeanwhile(stage)
  await startAgain(stage, stored)
}

async function outdatedMeanwhile({ away, primary, claims }: Stage): Promise<void> {
  const { checked, outdated } = audit(await away.cachedProducts(), await allProducts(primary))
  claims.claim(
    'nobody invalidates: its Redis holds prices that are old',
    outdated > 0,
    `${outdated} of ${checked} cached ones`,
  )
}

async function startAgain(stage: Stage, stored: number): Promise<void> {
  const { away, services, claims, primary, source, signal, tell } = stage
  tell.say(`It is started again. Kafka waits ${KAFKA_SESSION_MS / 1_000} s for the dead one; the writing goes on.`)
  const missed = await endOfLog(primary, source)
  const startedMs = performance.now()
  await services.awayWorker.start()
  const readyMs = performance.now()
  await waitUntil('the worker has replayed', () => away.hasReached(missed), { timeoutMs: CATCH_UP_TIMEOUT_MS, signal })
  const replayMs = performance.now() - readyMs
  tell.say(`It has its partitions back after ${milliseconds(readyMs - startedMs)}.`)
  const replayed = (await away.storedOffset()) - stored
  const gaps = sumOf(await services.awayWorker.metrics(), 'tidemark_worker_gaps_total')
  claims.claim(
    'it goes on where Redis says, and skips nothing',
    gaps === 0 && replayed > 0,
    `${replayed} records replayed in ${milliseconds(replayMs)}, ${gaps ?? 'no count of'} gaps`,
  )
}

async function bothCatchUp({ home, away, primary, source, claims, signal }: Stage): Promise<void> {
  const lastMs = performance.now()
  const last = await endOfLog(primary, source)
  const haveReached = async () => (await home.hasReached(last)) && (await away.hasReached(last))
  await waitUntil('both regions catch up', haveReached, { timeoutMs: CATCH_UP_TIMEOUT_MS, signal })
  claims.claim(
    'both regions have applied the last update',
    await haveReached(),
    `${milliseconds(performance.now() - lastMs)} after it was written`,
  )
}

function customersSaw({ source, claims }: Stage, region: Region, shown: Shown): void {
  const { reads, failed, firstFailure, saidStale, fromCache, oldestMs } = shown
  const { maxStalenessMs } = source.keyspaces.product!.contract
  claims.claim(
    `${region.name}: nobody saw a price older than promised`,
    reads > 0 && saidStale === 0 && oldestMs <= maxStalenessMs,
    `${reads} reads, oldest ${milliseconds(oldestMs)} of ${maxStalenessMs} ms`,
  )
  claims.claim(
    `${region.name}: nobody was turned away`,
    reads > 0 && failed === 0,
    firstFailure ?? `${failed} refused, ${Math.round((100 * fromCache) / reads)} % from the cache`,
  )
}

async function cachesEqualRows({ primary, claims }: Stage, region: Region): Promise<void> {
  const rows = await allProducts(primary)
  const { checked, served, stale } = audit(await region.cachedProducts(), rows)
  claims.claim(
    `${region.name}: every cached price equals its row`,
    stale === 0 && served >= FRONT_PAGE / 2,
    `${checked} compared, ${served} to be served, ${stale} of them stale`,
  )
}
