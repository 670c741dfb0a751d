import { dollars, milliseconds } from './narrator.ts'
import { lagBehind } from './replica-delay.ts'
import { FIRST_PRICE_CENTS } from './shop-database.ts'
import { AWAY, HOME, type Stage } from './stage.ts'

const WRITES = 50
const FIRST_PRODUCT = 100
const APPLY_DELAY_MS = 300

interface OwnWrite {
  readonly written: number
  readonly tidemark: number
  readonly naive: number
  readonly tookMs: number
}

/** Chapter 3: who writes in one region and reads in the other is shown what was written. */
export async function writersReadTheirOwnWrites(stage: Stage): Promise<void> {
  const { tell, claims } = stage
  tell.chapter(3, `Write in ${HOME}, read in ${AWAY}`)
  await lagBehind(stage, APPLY_DELAY_MS)
  tell.say(
    `${AWAY}’s replica is ${APPLY_DELAY_MS} ms behind (recovery_min_apply_delay). ${WRITES} times a customer sets a`,
  )
  tell.say('price in one region and looks at it in the other at once, with his session’s token.')
  const writes: OwnWrite[] = []
  for (let i = 0; i < WRITES; i++) {
    writes.push(await writeAndRead(stage, FIRST_PRODUCT + i, FIRST_PRICE_CENTS + 1 + i))
  }
  await lagBehind(stage, 0)
  const missed = (of: 'tidemark' | 'naive') => writes.filter((write) => write[of] !== write.written).length
  const slowestMs = Math.max(...writes.map((write) => write.tookMs))
  claims.claim(
    'Tidemark: all customers see their own writes',
    writes.length === WRITES && missed('tidemark') === 0,
    `${missed('tidemark')} of ${writes.length} missed; slowest read ${milliseconds(slowestMs)}`,
  )
  const example = writes.find((write) => write.naive !== write.written)
  claims.claim(
    'naive: customers do not see what they wrote',
    example !== undefined,
    `${missed('naive')} of ${writes.length} missed, such as ${dollars(example?.naive)} for ${dollars(example?.written)}`,
  )
}

async function writeAndRead({ home, away }: Stage, id: number, cents: number): Promise<OwnWrite> {
  await away.shop.read(id)
  await away.naive.read(id)
  const token = await home.shop.setPrice(id, cents)
  await Promise.all([home.naive.forget(id), away.naive.forget(id)])
  const askedMs = performance.now()
  const tidemark = await away.shop.read(id, token)
  const tookMs = performance.now() - askedMs
  const naive = await away.naive.read(id)
  return { written: cents, tidemark: tidemark.value.priceCents, naive: naive.priceCents, tookMs }
}
