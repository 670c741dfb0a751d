import { expect, test } from '@jest/globals'
import { ShopContext } from '../testing/shop-context.ts'
import { type StandingRow, standingOf, standingStatement } from './standing.ts'

const STATEMENT = standingStatement('shop')

test('one statement serves both roles, and a replica never stands beyond its primary', async () => {
  await using shop = await ShopContext.open()
  const replica = standingOf((await shop.replica.query<StandingRow>(STATEMENT)).rows[0]!)
  const primary = standingOf((await shop.primary.query<StandingRow>(STATEMENT)).rows[0]!)
  expect(primary).toMatchObject({ role: 'primary', epoch: 1, announced: true })
  expect(replica).toMatchObject({ role: 'replica', epoch: 1, announced: true })
  expect(replica?.systemIdentifier).toBe(primary?.systemIdentifier)
  expect(replica!.position <= primary!.position).toBe(true)
  expect(replica!.reach! >= replica!.position).toBe(true)
})

test('the newest epoch of the source counts, whatever another source has recorded', async () => {
  await using shop = await ShopContext.open()
  const copy = (source: string, epoch: number) =>
    shop.primary.query(
      `insert into tidemark.epoch select '${source}', ${epoch}, system_identifier, timeline, start_lsn, slot
      from tidemark.epoch where source = 'shop' and epoch = 1`,
    )
  await copy('shop', 2)
  await copy('shop', 10)
  await copy('another', 11)
  expect(standingOf((await shop.primary.query<StandingRow>(STATEMENT)).rows[0]!)?.epoch).toBe(10)
})

test('where the publisher has recorded nothing yet there is a row, and no standing', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query('delete from tidemark.epoch')
  const { rows } = await shop.primary.query<StandingRow>(STATEMENT)
  expect(rows).toHaveLength(1)
  expect(standingOf(rows[0]!)).toBeNull()
})

test('a role without any grant but on the epoch table can ask', async () => {
  await using shop = await ShopContext.open()
  const role = `app_${shop.source.keyPrefix.replace(/\W/g, '_')}`
  await shop.primary.query(`create role ${role}`)
  await shop.primary.query(`grant usage on schema tidemark to ${role}; grant select on tidemark.epoch to ${role}`)
  await shop.replicaCaughtUp()
  const ask = async (pool: typeof shop.primary) => {
    const client = await pool.connect()
    try {
      await client.query(`set role ${role}`)
      return standingOf((await client.query<StandingRow>(STATEMENT)).rows[0]!)
    } finally {
      client.release(true)
    }
  }
  expect(await ask(shop.primary)).toMatchObject({ role: 'primary', announced: true })
  expect(await ask(shop.replica)).toMatchObject({ role: 'replica', announced: true })
  await shop.primary.query(`drop owned by ${role}; drop role ${role}`)
})
