import { dollars } from './narrator.ts'
import type { Region } from './region.ts'
import { FIRST_PRICE_CENTS } from './shop-database.ts'
import type { Stage } from './stage.ts'

/** The product that the story is about. */
export const LAMP = 1

/** Chapter 1: both shops, in both regions, hold the same price. */
export async function bothCachesAreWarm(stage: Stage): Promise<void> {
  stage.tell.chapter(1, 'Two shops in two regions, one database')
  stage.tell.say('Tidemark’s shop, and beside it a naive one: delete the key after the write,')
  stage.tell.say('in both regions; refill from the nearest server. Same servers, same rows.')
  for (const region of [stage.home, stage.away]) await bothHoldThePrice(stage, region)
}

async function bothHoldThePrice({ claims }: Stage, region: Region): Promise<void> {
  const filled = await region.shop.read(LAMP)
  const read = await region.shop.read(LAMP)
  await region.naive.read(LAMP)
  const naive = await region.naive.read(LAMP)
  claims.claim(
    `${region.name}: both caches hold ${dollars(FIRST_PRICE_CENTS)}`,
    [read.value.priceCents, naive.priceCents].every((cents) => cents === FIRST_PRICE_CENTS) &&
      read.from === 'redis' &&
      naive.from === 'redis',
    `${dollars(read.value.priceCents)} and ${dollars(naive.priceCents)}, filled from ${filled.from}`,
  )
}
