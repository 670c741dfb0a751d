import { expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { Failover } from './testing/failover.ts'

test('I4: a standby promoted with its failover slot begins the new epoch where the old one stopped: no change is lost', async () => {
  await using primary = await PostgresServer.start({ durable: false })
  await using failover = await Failover.open(primary, 'with_slot', { sync_replication_slots: true })
  const { products, standby } = failover
  const { ctx, source } = products
  await primary.configure({ synchronized_standby_slots: 'with_slot' })
  const old = await failover.startOld()
  await products.insert(1)
  await products.published(1, 1)
  const synced = 'select 1 from pg_replication_slots where slot_name = $1 and synced and not temporary'
  await ctx.untilTrue('the slot is on the standby', async () => {
    // The standby's copy is kept once a snapshot of what runs has been replayed.
    await primary.query('select pg_log_standby_snapshot()')
    return (await standby.query(synced, [source.slot])).length === 1
  })
  const tooEarly = failover.startNew()
  await ctx.untilTrue('a standby is no source yet', () => failover.logs('new', 'SOURCE_IN_RECOVERY') > 0)
  await tooEarly.stop()
  await old.stop()
  await products.insert(2)
  await failover.promote()
  failover.startNew()
  await products.published(2, 2)
  expect(products.causes()).toEqual(['first', 'timeline'])
  await failover.onNew("insert into product values (3, 'x')")
  await products.published(3, 2)
  await primary.configure({ synchronized_standby_slots: '' })
}, 120_000)
