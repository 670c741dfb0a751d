import { expect, test } from '@jest/globals'
import { PostgresServer } from '@tidemark/local'
import { Products } from './testing/products.ts'

test('I4: a slot that was invalidated because nobody streamed for too long is a new epoch', async () => {
  await using server = await PostgresServer.start({
    durable: false,
    settings: { idle_replication_slot_timeout: '2s', checkpoint_timeout: '1h' },
  })
  await using products = await Products.open(server.url())
  const first = await products.start()
  await first.stop()
  await products.insert(1)
  await products.ctx.untilTrue('a checkpoint ends it', async () => {
    await products.fillLog(1)
    return (await products.slot('invalidation_reason')) === 'idle_timeout'
  })
  products.ctx.start(products.source)
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-lost'])
  await products.insert(2)
  await products.published(2, 2)
})

test('a slot whose publisher cannot reach Kafka is told before it is invalidated for idleness', async () => {
  await using server = await PostgresServer.start({
    durable: false,
    settings: { idle_replication_slot_timeout: '10s', checkpoint_timeout: '1h' },
  })
  await using products = await Products.open(server.url())
  const first = await products.start()
  await first.stop()
  products.ctx.start(products.source, { brokers: ['127.0.0.1:1'], maxRetryMs: 500 })
  await products.ctx.untilTrue('it is told', () => products.logs('nobody streams from the slot'))
  await products.ctx.untilTrue('and louder', () => products.logs('soon gives the slot up: nobody streams'))
  expect(await products.slot('invalidation_reason')).toBe(null)
})
