import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { KafkaServer, PostgresServer } from '@tidemark/local'
import { Health, startTelemetry } from '@tidemark/telemetry'
import { Products } from './testing/products.ts'

// The server gives slots up here: its log, of segments of 16 MB, may keep eight of them for a slot.

/** More than it may keep, the segment in hand and the one after it included. */
const LOST = 10

let server: PostgresServer

beforeAll(async () => {
  const settings = { max_slot_wal_keep_size: '128MB', checkpoint_timeout: '1h', max_wal_size: '1GB' }
  server = await PostgresServer.start({ durable: false, settings })
})

afterAll(() => server?.[Symbol.asyncDispose]())

test('I4: a slot that was lost while nobody streamed: a new epoch, told aloud, counted, and once', async () => {
  await using telemetry = await openTelemetry()
  await using products = await Products.open(server.url())
  const first = await products.start()
  await products.insert(1)
  await products.published(1, 1)
  await first.stop()
  await products.insert(2)
  await products.fillLog(LOST)
  expect(await products.slot('wal_status')).toBe('lost')
  products.ctx.start(products.source)
  await products.announced(2)
  await products.insert(3)
  await products.published(3, 2)
  expect(products.causes()).toEqual(['first', 'slot-lost'])
  expect(await products.slot('wal_status')).toBe('reserved')
  expect(await telemetry.scrape()).toContain('tidemark_publisher_epochs_total{cause="slot-lost"} 1')
  expect(await telemetry.scrape()).toContain('tidemark_publisher_floors_total{keyspace="products",cause="epoch"} 2')
})

test('I4: the operator hears of it before a slot is given up in mid-stream, and what Kafka could not take is a new epoch', async () => {
  await using telemetry = await openTelemetry()
  await using kafka = await KafkaServer.start()
  await using products = await Products.open(server.url(), { brokers: kafka.brokers })
  await products.start({ sendDeadlineMs: 2_000 })
  kafka.pause()
  try {
    await products.insert(1)
    await products.fillLog(6)
    await products.ctx.untilTrue('a warning', () => products.logs('much of the log'))
    expect(products.logs('nearly used up')).toBe(false)
    await products.fillLog(2)
    await products.ctx.untilTrue('an error', () => products.logs('nearly used up'))
    expect(await products.slot('wal_status')).not.toBe('lost')
    expect(await telemetry.scrape()).toMatch(/^tidemark_publisher_slot_safe_bytes \d+$/m)
    expect(await telemetry.scrape()).toMatch(/^tidemark_publisher_slot_unconfirmed_bytes \d{8,}$/m)
    await products.fillLog(3)
    expect(await products.slot('wal_status')).toBe('lost')
    await products.ctx.untilTrue('it is told', () => products.logs('has given the slot up'))
  } finally {
    kafka.resume()
  }
  await products.announced(2)
  await products.insert(2)
  await products.published(2, 2)
  expect(products.causes()).toEqual(['first', 'slot-lost'])
  // What was said, was said once: not at every look.
  expect(products.ctx.logged.filter((l) => l.level >= 40 && l.retainedBytes !== undefined).length).toBeLessThan(6)
}, 180_000)

test('a slot that the server would give up at its next checkpoint is still good for the whole stream', async () => {
  await using products = await Products.open(server.url())
  const first = await products.start()
  await first.stop()
  await products.insert(1)
  await products.fillLog(LOST, false)
  expect(await products.slot('wal_status')).toBe('unreserved')
  products.ctx.start(products.source)
  await products.published(1, 1)
  await products.ctx.untilTrue('it is told', () => products.logs('at its next checkpoint'))
  // The restart position moves with the next list of running transactions in the log: making any slot writes one.
  await products.ctx.sql.query(
    "select pg_drop_replication_slot(slot_name) from pg_create_logical_replication_slot($1, 'pgoutput')",
    [`${products.source.slot}_nudge`],
  )
  await products.ctx.untilTrue('it is out of danger', async () => (await products.slot('wal_status')) === 'reserved')
  await products.fillLog(0)
  await products.insert(2)
  await products.published(2, 1)
  expect(products.causes()).toEqual(['first'])
})

test('I4: a slot that is lost between the check and the stream is a new epoch, not a loop', async () => {
  await using products = await Products.open(server.url())
  await using running = await products.opening()
  await products.fillLog(LOST)
  expect(await products.slot('wal_status')).toBe('lost')
  await running.query('commit')
  await products.announced(3)
  expect(products.causes()).toEqual(['first', 'timeline', 'slot-lost'])
  // A topic made just now may be without its leader for a moment, which is another reason to try again.
  const reasons = restarts(products).filter((code) => code !== 'SERVER_UNREACHABLE')
  expect(reasons).toEqual(['SLOT_LOST'])
  expect(products.logs('the slot cannot be streamed from')).toBe(true)
})

test('I4: a log that was not logical for a while cannot have been decoded: a new epoch', async () => {
  await using own = await PostgresServer.start({ durable: false })
  await using products = await Products.open(own.url())
  const first = await products.start()
  await first.stop()
  // A server does not start with a level that its slots cannot live with.
  await products.ctx.dropSlot(products.source)
  await own.query('alter system set wal_level = replica')
  await own.restart()
  await own.query("insert into product values (1, 'x')", [], products.ctx.name)
  await own.query('alter system reset wal_level')
  await own.restart()
  products.ctx.start(products.source)
  await products.announced(2)
  expect(products.causes()).toEqual(['first', 'slot-missing'])
})

/** The codes of what each life ended with, in order. */
function restarts({ ctx }: Products): unknown[] {
  const lines = ctx.logged.filter((l) => l.msg === 'opening the stream again')
  return lines.map(({ err }) => (err as { code?: unknown } | undefined)?.code)
}

async function openTelemetry() {
  const telemetry = await startTelemetry({ service: 'publisher', host: '127.0.0.1', port: 0, health: new Health() })
  return {
    scrape: async () => (await fetch(`http://127.0.0.1:${telemetry.port}/metrics`)).text(),
    [Symbol.asyncDispose]: () => telemetry.stop(),
  }
}
