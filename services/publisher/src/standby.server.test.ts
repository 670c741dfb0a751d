import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePort, KafkaServer, PostgresServer, TcpProxy } from '@tidemark/local'
import { epochOf } from '@tidemark/protocol'
import { Products } from './testing/products.ts'
import { PublisherProcess } from './testing/publisher-process.ts'
import { fromZombies, producersOf, readTopicLog } from './testing/topic-log.ts'

let postgres: PostgresServer

beforeAll(async () => {
  postgres = await PostgresServer.start({ durable: false })
}, 120_000)

afterAll(async () => {
  await postgres?.[Symbol.asyncDispose]()
})

const STANDS_BY = 'standing by: another publisher has the source'
const FLOOD = 5_000

function epochs({ ctx }: Products): number[] {
  return [...new Set(ctx.records.map((r) => epochOf(r.kind === 'event' ? r.version : r.position)))]
}

test('I4: a standby takes over within seconds when the active publisher is killed, in the same epoch', async () => {
  await using products = await Products.open(postgres.url())
  const { ctx, source } = products
  await using active = await PublisherProcess.start(ctx)
  await ctx.follow(source)
  await products.announced(1)
  ctx.start(source)
  await ctx.untilTrue('a second one stands by', () => products.logs(STANDS_BY))
  await products.insert(1)
  await products.published(1, 1)
  await active.kill()
  const killedAt = performance.now()
  await products.insert(2)
  await products.published(2, 1)
  expect(performance.now() - killedAt).toBeLessThan(5_000)
  expect(epochs(products)).toEqual([1])
})

test('a frozen publisher is taken over from, and not one of its records follows: neither what was on its way nor what it held', async () => {
  const port = await freePort()
  await using network = await TcpProxy.start(port)
  const settings = { 'advertised.listeners': `PLAINTEXT://127.0.0.1:${network.port}` }
  await using kafka = await KafkaServer.start({ port, settings })
  await using products = await Products.open(postgres.url(), { brokers: kafka.brokers })
  const { ctx, source } = products
  const small = { TIDEMARK_MAX_BUFFER_BYTES: '65536', TIDEMARK_POSTGRES_SILENCE_MS: '1000' }
  await using active = await PublisherProcess.start(ctx, small)
  await ctx.follow(source)
  await products.announced(1)
  ctx.start(source)
  await ctx.untilTrue('a second one stands by', () => products.logs(STANDS_BY))
  // From now on whatever it sends is on its way. The standby has no connection to Kafka yet.
  network.silence({ directions: ['to-server'], newConnections: 'forwarded' })
  await ctx.sql.query(
    `do $$ begin for i in 1..${FLOOD} loop insert into product values (i, 'x'); commit; end loop; end $$`,
  )
  active.freeze()
  const frozenAt = performance.now()
  await ctx.untilTrue('the standby takes over', () => ctx.logged.some((l) => l.msg === 'the epoch continues'))
  expect(performance.now() - frozenAt).toBeLessThan(5_000)
  await network.restore()
  active.thaw()
  await active.logged(STANDS_BY)
  await ctx.untilTrue('everything is delivered', () => ctx.keys().length === FLOOD)
  const log = await readTopicLog(ctx.brokers, source.topic)
  expect(fromZombies(log)).toEqual([])
  expect(producersOf(log).size).toBe(2)
  expect(epochs(products)).toEqual([1])
}, 120_000)

test('publishers that start at the same instant never interleave, whoever is first', async () => {
  await using products = await Products.open(postgres.url())
  const { ctx, source } = products
  const keys: string[] = []
  for (let round = 1; round <= 8; round++) {
    const running = [1, 2, 3].map(() => ctx.start(source))
    if (round === 1) {
      await ctx.follow(source)
      await products.announced(1)
    }
    await products.insert(round)
    await products.published(round, 1)
    keys.push(`product:${round}`)
    await Promise.all(running.map((publisher) => publisher.stop()))
  }
  expect(ctx.keys()).toEqual(keys)
  expect(epochs(products)).toEqual([1])
  expect(fromZombies(await readTopicLog(ctx.brokers, source.topic))).toEqual([])
})

test('a source is opened anew every so often, so that Kafka does not forget its publishers', async () => {
  await using products = await Products.open(postgres.url())
  const { ctx } = products
  await products.start({ maxLifeMs: 500 })
  const claims = () => ctx.records.filter((r) => r.kind === 'claim' && r.partition === 0).length
  await ctx.untilTrue('a third life', () => claims() >= 3)
  expect(epochs(products)).toEqual([1])
  expect(ctx.logged.some((l) => l.msg === 'opening the stream again')).toBe(false)
})
