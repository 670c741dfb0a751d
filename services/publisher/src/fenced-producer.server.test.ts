import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createCluster } from '@tidemark/kafka'
import { freePort, KafkaServer, TcpProxy, waitUntil } from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { Kafka, logLevel } from 'kafkajs'
import { pino } from 'pino'
import { Bus, transactionalIdOf } from './bus.ts'
import { FencedProducer } from './fenced-producer.ts'
import { OffsetWatch } from './offset-watch.ts'
import { fromZombies, readTopicLog } from './testing/topic-log.ts'

let kafka: KafkaServer
/** What stands between the clients and the broker. */
let network: TcpProxy

beforeAll(async () => {
  const port = await freePort()
  network = await TcpProxy.start(port)
  kafka = await KafkaServer.start({
    port,
    settings: {
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${network.port}`,
      // Kafka forgets a transactional id after a week; here after a moment.
      'transactional.id.expiration.ms': 3_000,
      'transaction.remove.expired.transaction.cleanup.interval.ms': 500,
    },
  })
}, 120_000)

afterAll(async () => {
  await network?.[Symbol.asyncDispose]()
  await kafka?.[Symbol.asyncDispose]()
})

const PARTITIONS = 3

function openBus(topic: string): Promise<Bus> {
  return Bus.open({
    ...{ brokers: [kafka.brokers], topic, partitions: PARTITIONS, replicationFactor: 1, deadlineMs: 10_000 },
    ...{ offsets: new OffsetWatch(), log: pino({ level: 'silent' }) },
  })
}

/** A bus that has claimed the topic. */
async function taken(topic: string, epoch: number): Promise<Bus & AsyncDisposable> {
  const bus = await openBus(topic)
  await bus.take()
  await bus.claim(epoch)
  return Object.assign(bus, { [Symbol.asyncDispose]: () => bus.close() })
}

const note = (partition: number) => ({ partition, key: null, value: Buffer.alloc(22, 1) })

async function codeOf(sending: Promise<unknown>): Promise<string> {
  const error = await sending.then(
    () => undefined,
    (e: unknown) => e,
  )
  return isTidemarkError(error) ? error.code : String(error)
}

test('after a claim each partition by itself refuses the publisher before it, however many records that has sent', async () => {
  await using first = await taken('numbered', 1)
  for (let i = 0; i < 20; i++) await first.claim(1)
  await using second = await taken('numbered', 1)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    expect(await codeOf(first.send([note(partition)]))).toBe('PUBLISHER_FENCED')
  }
  await second.claim(1)
})

test('a send that was on its way when the next publisher claimed the topic is refused when it arrives', async () => {
  await using first = await taken('on-its-way', 1)
  network.silence({ directions: ['to-server'], newConnections: 'forwarded' })
  const late = codeOf(first.send([note(0), note(1), note(2)]))
  await using _ = await taken('on-its-way', 1)
  await network.restore()
  expect(await late).toBe('PUBLISHER_FENCED')
  const log = await readTopicLog([kafka.brokers], 'on-its-way')
  expect(log.flat().map((w) => w.record.kind)).toEqual(Array(2 * PARTITIONS).fill('claim'))
  expect(fromZombies(log)).toEqual([])
})

test('until the next one has claimed a partition, the first may write there: initialising alone shuts out nobody', async () => {
  await using first = await taken('not-yet', 1)
  const second = await openBus('not-yet')
  await second.take()
  await first.claim(1)
  await second.close()
})

test('a batch is no transaction: readers need not wait for one', async () => {
  await using _ = await taken('plain', 1)
  const log = await readTopicLog([kafka.brokers], 'plain')
  expect(log.flat().map((w) => w.inTransaction)).toEqual([false, false, false])
  expect(log.flat().map((w) => w.record.kind)).toEqual(['claim', 'claim', 'claim'])
})

test('a broker that was restarted still refuses whom it refused before', async () => {
  await using first = await taken('restarted', 1)
  await using _ = await taken('restarted', 1)
  await kafka.kill()
  await kafka.start()
  // The first answers are those of a broker that comes up.
  for (let tries = 0; tries < 20; tries++) {
    const code = await codeOf(first.claim(1))
    if (code === 'PUBLISHER_FENCED') return
    expect(code).toBe('SERVER_UNREACHABLE')
  }
  throw new Error('never refused')
}, 120_000)

test('once Kafka has forgotten the id, a later one is told that it shuts out nobody', async () => {
  await using first = await taken('forgotten', 1)
  // To ask is to be remembered anew: each of these, known to Kafka since now, is asked once.
  const client = new Kafka({ brokers: [kafka.brokers], logLevel: logLevel.NOTHING })
  const cluster = createCluster(client)
  await cluster.connect()
  const probes = Array.from({ length: 60 }, (_, i) => new FencedProducer(client, cluster, `probe-${i}`))
  for (const probe of probes) expect(await probe.initialise()).toBe(0)
  const isForgotten = async () => (await probes.pop()!.initialise()) === 0
  await waitUntil('Kafka forgets', isForgotten, { timeoutMs: 30_000, everyMs: 500 })
  await cluster.disconnect()
  const second = await openBus('forgotten')
  expect(await second.take()).toBe(false)
  await second.claim(1)
  await second.close()
  // Which is why a publisher that is told so opens a new epoch.
  await first.claim(1)
}, 60_000)

test('the id names the topic: an ACL can be given for it', () => {
  expect(transactionalIdOf('tidemark.shop')).toBe('tidemark.tidemark.shop')
})
