import { expect, test } from '@jest/globals'
import { covers, type Position, parseLsn, position } from '@tidemark/protocol'
import { PublisherContext } from './publisher-context.ts'

const PRODUCTS = { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } } as const

async function openProducts() {
  const ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  const source = ctx.source(PRODUCTS)
  return { ctx, source }
}

test('a row that changes becomes an event, and then a watermark covers it on every partition', async () => {
  const { ctx, source } = await openProducts()
  await using _ = ctx
  ctx.start(source)
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.filter((r) => r.kind === 'epoch').length >= 2)
  await ctx.sql.query("insert into product values (1, 'one')")
  await ctx.until('the event', () => ctx.keys().includes('product:1'))
  const event = ctx.events()[0]!
  await ctx.until('a watermark that covers it, on both partitions', (records) =>
    [0, 1].every((p) =>
      records.some((r) => r.partition === p && r.kind === 'watermark' && covers(r.position, event.version)),
    ),
  )
})
