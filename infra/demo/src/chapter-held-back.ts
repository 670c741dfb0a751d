import { LAMP } from './chapter-warm.ts'
import { sumOf } from './metrics-page.ts'
import { dollars, milliseconds } from './narrator.ts'
import type { Region } from './region.ts'
import { lagBehind } from './replica-delay.ts'
import { FIRST_PRICE_CENTS, priceIn, setPriceIn } from './shop-database.ts'
import { AWAY, HOME, type Stage } from './stage.ts'

const NEW_PRICE_CENTS = 2_499
/** Another product, which changes a little later. */
const OTHER = 2
const INVALIDATION_TIMEOUT_MS = 10_000
const DELAY_MS = 30_000

/** Chapter 2: the replica falls behind, the price changes, and one of the two shops puts the old one back. */
export async function replicaIsHeldBack(stage: Stage): Promise<void> {
  stage.tell.chapter(2, `${AWAY}’s replica falls behind, and the price changes`)
  await lagBehind(stage, DELAY_MS)
  stage.tell.say(`The replica is held ${DELAY_MS / 1_000} s behind (recovery_min_apply_delay).`)
  try {
    await priceChanges(stage)
    await naiveShopPutsItBack(stage)
    await tidemarkRefusesTheReplica(stage)
    await theSameReplicaWillDo(stage)
  } finally {
    await lagBehind(stage, 0)
  }
  stage.tell.say('The delay is taken away, so that nobody need wait for it, and the replica has caught up.')
  await afterwards(stage)
}

/** One UPDATE for both shops. The naive one deletes its keys; Tidemark is not told, it reads the log. */
async function priceChanges({ primary, replica, home, away, claims, tell, signal }: Stage): Promise<void> {
  tell.say(`${HOME} sets the price to ${dollars(NEW_PRICE_CENTS)}: one UPDATE for both shops.`)
  await setPriceIn(primary, LAMP, NEW_PRICE_CENTS)
  const committedMs = performance.now()
  const [homeMs, awayMs] = await Promise.all([
    untilWithdrawn(home, LAMP, committedMs, signal),
    untilWithdrawn(away, LAMP, committedMs, signal),
    home.naive.forget(LAMP),
    away.naive.forget(LAMP),
  ])
  const replicaCents = await priceIn(replica, LAMP)
  claims.claim('the replica shows the old price', replicaCents === FIRST_PRICE_CENTS, dollars(replicaCents))
  const naiveCaches = await Promise.all([home.naive.isCached(LAMP), away.naive.isCached(LAMP)])
  claims.claim('naive: the key is deleted in both regions', !naiveCaches.includes(true), 'neither Redis holds it')
  claims.claim(
    'Tidemark: withdrawn in both regions',
    Number.isFinite(homeMs) && Number.isFinite(awayMs),
    `${milliseconds(homeMs)} ${HOME}, ${milliseconds(awayMs)} ${AWAY}, after COMMIT returned`,
  )
}

/** Looks at Redis back to back: a timer between two looks would be measured along. Infinite when it never happens. */
async function untilWithdrawn(region: Region, id: number, sinceMs: number, signal: AbortSignal): Promise<number> {
  while (performance.now() - sinceMs < INVALIDATION_TIMEOUT_MS) {
    signal.throwIfAborted()
    const { cell } = await region.look(id)
    if (cell?.state !== 'live') return performance.now() - sinceMs
  }
  return Number.POSITIVE_INFINITY
}

async function naiveShopPutsItBack({ home, away, claims }: Stage): Promise<void> {
  const refilled = await away.naive.read(LAMP)
  const again = await away.naive.read(LAMP)
  claims.claim(
    `naive: ${AWAY} caches the old price again`,
    refilled.from === 'database' && again.from === 'redis' && again.priceCents === FIRST_PRICE_CENTS,
    `${dollars(refilled.priceCents)} from its replica, then from its cache`,
  )
  const atHome = await home.naive.read(LAMP)
  claims.claim(
    'naive: the regions disagree',
    atHome.priceCents === NEW_PRICE_CENTS && again.priceCents !== atHome.priceCents,
    `${HOME} ${dollars(atHome.priceCents)}, ${AWAY} ${dollars(again.priceCents)}`,
  )
}

async function tidemarkRefusesTheReplica({ home, away, claims, services }: Stage): Promise<void> {
  const refusedBefore = await refusals(services.awayShop.metrics())
  const [inHome, inAway] = await Promise.all([home.shop.read(LAMP), away.shop.read(LAMP)])
  const refused = (await refusals(services.awayShop.metrics())) - refusedBefore
  claims.claim(
    'Tidemark: the replica is refused, the primary asked',
    refused >= 1 && inAway.from === 'primary',
    `refused ${refused}×, filled from ${inAway.from}`,
  )
  claims.claim(
    `Tidemark: both regions show ${dollars(NEW_PRICE_CENTS)}`,
    [inHome, inAway].every((r) => r.freshness === 'fresh' && r.value.priceCents === NEW_PRICE_CENTS),
    `${HOME} ${dollars(inHome.value.priceCents)}, ${AWAY} ${dollars(inAway.value.priceCents)}`,
  )
}

/** What is required of a source is the key's own past, not that it has all of the log. */
async function theSameReplicaWillDo({ away, claims, primary, signal }: Stage): Promise<void> {
  const other = await away.shop.read(OTHER)
  claims.claim(
    'Tidemark: for an unchanged product the replica will do',
    other.from.startsWith(AWAY) && other.value.priceCents === FIRST_PRICE_CENTS,
    `${dollars(other.value.priceCents)} from ${other.from}`,
  )
  await setPriceIn(primary, OTHER, NEW_PRICE_CENTS)
  await untilWithdrawn(away, OTHER, performance.now(), signal)
}

async function afterwards({ away, replica, claims }: Stage): Promise<void> {
  const replicaCents = await priceIn(replica, LAMP)
  const naive = await away.naive.read(LAMP)
  const secondsLeft = await away.naive.secondsLeft(LAMP)
  claims.claim(
    `naive: ${AWAY} still sells at the old price`,
    replicaCents === NEW_PRICE_CENTS && naive.priceCents === FIRST_PRICE_CENTS && secondsLeft > 0,
    `replica ${dollars(replicaCents)}, cache ${dollars(naive.priceCents)} for ${secondsLeft} s more`,
  )
  const tidemark = await away.shop.read(LAMP)
  claims.claim(
    `Tidemark: ${AWAY} sells at the new one`,
    tidemark.value.priceCents === NEW_PRICE_CENTS && tidemark.freshness === 'fresh' && tidemark.from === 'redis',
    `${dollars(tidemark.value.priceCents)} from ${tidemark.from}`,
  )
  const other = await away.shop.read(OTHER)
  claims.claim(
    'Tidemark: what changed meanwhile, the replica fills again',
    other.from.startsWith(AWAY) && other.value.priceCents === NEW_PRICE_CENTS,
    `${dollars(other.value.priceCents)} from ${other.from}`,
  )
}

async function refusals(page: Promise<string>): Promise<number> {
  const counted = sumOf(await page, 'cache_stale_refill_total', { keyspace: 'product' })
  if (counted === undefined) throw new Error('the shop counts no refusals')
  return counted
}
