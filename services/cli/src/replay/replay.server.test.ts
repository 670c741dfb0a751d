import { expect, test } from '@jest/globals'
import { decodeView, partitionKeys } from '@tidemark/guard'
import { ensureTopic } from '@tidemark/kafka'
import { localServers } from '@tidemark/local'
import { encodeRecord, ORIGIN, partitionOf, position, type TidemarkRecord, version } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import { Kafka, logLevel } from 'kafkajs'
import { SourceContext } from '../testing/source-context.ts'

const PARTITION = 0

/** The first key of a keyspace that lies in the partition. */
function keyIn(keyspace: string): string {
  for (let id = 1; ; id++) if (partitionOf(`${keyspace}:${id}`, 2) === PARTITION) return `${keyspace}:${id}`
}

const PRODUCT = keyIn('product')
const OTHER = keyIn('other')

/** What the partition's topic holds: offsets 0 to 3. */
const RECORDS: readonly TidemarkRecord[] = [
  { kind: 'event', key: PRODUCT, keyspace: 'product', version: version(1, 50n), timeUs: 0n },
  { kind: 'event', key: OTHER, keyspace: 'other', version: version(1, 50n), timeUs: 0n },
  { kind: 'floor', keyspace: 'other', position: position(1, 61n), timeUs: 0n },
  { kind: 'watermark', position: position(1, 100n), timeUs: 0n },
]

const VIEW = {
  ...{ format: 1, epoch: '00000001', watermark: position(1, 100n), newest: version(1, 50n), horizon: ORIGIN },
  ...{ floors: {}, offset: '0000000000000004', beat: 1, current: 0, generations: {} },
}

/** A live value whose label lacks the events. */
const STALE_CELL = `1L${position(1, 10n)}${position(1, 20n)}${'0'.repeat(13)}-v`

/** A region that has applied all, by its view, and holds stale values all the same; no publisher or worker runs. */
class BrokenRegion implements AsyncDisposable {
  readonly context: SourceContext
  readonly kafka: Kafka
  readonly redis = new Redis(localServers().redisUrls['eu-west']!)
  readonly keys

  private constructor(context: SourceContext, kafka: Kafka) {
    this.context = context
    this.kafka = kafka
    this.keys = partitionKeys(context.source.keyPrefix, PARTITION)
  }

  static async open(): Promise<BrokenRegion> {
    const context = await SourceContext.open({
      keyspaces: { product: { key: 'product:{id}', tables: {} }, other: { key: 'other:{id}', tables: {} } },
    })
    const kafka = new Kafka({ brokers: [...context.servers.kafka.brokers], logLevel: logLevel.NOTHING })
    const { topic, partitions } = context.source
    await ensureTopic(kafka, { topic, partitions, replicationFactor: 1 })
    const producer = kafka.producer()
    await producer.connect()
    const messages = RECORDS.map((record) => ({ ...encodeRecord(record), partition: PARTITION }))
    await producer.send({ topic, messages })
    await producer.disconnect()
    const region = new BrokenRegion(context, kafka)
    await region.breakIt()
    return region
  }

  async breakIt(): Promise<void> {
    const { redis, keys } = this
    await redis.del(...keys.generations)
    await redis.mset(keys.view, JSON.stringify(VIEW), keys.cell(PRODUCT), STALE_CELL, keys.cell(OTHER), STALE_CELL)
  }

  async removeRecordsBefore(offset: number): Promise<void> {
    const { topic } = this.context.source
    const admin = this.kafka.admin()
    await admin.connect()
    // The client knows the leaders only of topics that it has asked about.
    await admin.fetchTopicOffsets(topic)
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: PARTITION, offset: `${offset}` }] })
    await admin.disconnect()
  }

  replay(...args: readonly string[]) {
    const env = { TIDEMARK_REDIS_EU_WEST_URL: localServers().redisUrls['eu-west']! }
    return this.context.tidemark(['replay', '--region', 'eu-west', ...args], env)
  }

  async state() {
    const [view, product, other] = await this.redis.mget(this.keys.view, this.keys.cell(PRODUCT), this.keys.cell(OTHER))
    return { view: decodeView(view!)!, product, other }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { redis, keys } = this
    await redis.del(keys.view, ...keys.generations, keys.cell(PRODUCT), keys.cell(OTHER))
    redis.disconnect()
    await this.context[Symbol.asyncDispose]()
  }
}

const FROM_THE_START = ['--partition', '0', '--from-offset', '0', '--yes'] as const

test('I2 of one keyspace, nothing else is touched; of all, values and floors are mended; where the worker is stays', async () => {
  await using region = await BrokenRegion.open()
  const one = await region.replay(...FROM_THE_START, '--keyspace', 'product')
  expect(one).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/events: 1, of which 1 removed a value\nfloors: 0/),
  })
  expect(await region.state()).toMatchObject({ product: null, other: STALE_CELL, view: { floors: {} } })

  const all = await region.replay(...FROM_THE_START)
  expect(all).toMatchObject({ code: 0, stdout: expect.stringMatching(/^eu-west: 4 records[\s\S]*floors: 1/) })
  const { view, other } = await region.state()
  expect([view.floors, other]).toEqual([{ other: position(1, 61n) }, null])
  const { watermark, newest, offset, beat, epoch } = VIEW
  expect(view).toMatchObject({ watermark, newest, offset, beat, epoch })
})

test('what retention has removed is told with the offset from which on it was done, and ends with 1', async () => {
  await using region = await BrokenRegion.open()
  await region.removeRecordsBefore(1)
  const { code, stdout } = await region.replay(...FROM_THE_START)
  expect([code, stdout]).toEqual([
    1,
    expect.stringMatching(/has removed what comes before offset 1.*--keyspace NAME$/m),
  ])
  expect(await region.state()).toMatchObject({ product: STALE_CELL, other: null })
})

test('an offset beyond the view, and a partition without one, are refused before anything is done', async () => {
  await using region = await BrokenRegion.open()
  const beyond = await region.replay('--partition', '0', '--from-offset', '5', '--yes')
  expect(beyond).toMatchObject({
    code: 1,
    stderr: 'partition 0: offset 5 lies beyond 4, which this region applies next\n',
  })
  const unseen = await region.replay('--from-offset', '0', '--yes')
  expect(unseen).toMatchObject({ code: 1, stderr: expect.stringMatching(/^partition 1 has no view in this region/) })
  expect(await region.state()).toMatchObject({ product: STALE_CELL, other: STALE_CELL })
})
