import { expect, test } from '@jest/globals'
import { connect, disconnect } from '@tidemark/postgres'
import { isTidemarkError, type Lsn, type Position, position } from '@tidemark/protocol'
import type { LastPublished } from './last-published.ts'
import { type OpenedSource, type OpeningOptions, openSource } from './opening.ts'
import { PRODUCTS } from './testing/products.ts'
import { PublisherContext } from './testing/publisher-context.ts'
import { waitForTurn } from './turn.ts'

/** A topic that changes between the first look at it and the one after the claim. */
class MovingTopic {
  readonly calls: string[] = []
  readonly #looks: LastPublished[]
  readonly #shutsOut: boolean

  constructor(looks: readonly LastPublished[], shutsOut = true) {
    this.#looks = [...looks]
    this.#shutsOut = shutsOut
  }

  async lastPublished(before?: ReadonlyMap<number, bigint>): Promise<LastPublished> {
    this.calls.push(before === undefined ? 'look' : 'look before the claim')
    return this.#looks.shift()!
  }

  async take(): Promise<boolean> {
    this.calls.push('take')
    return this.#shutsOut
  }

  async claim(epoch: number): Promise<ReadonlyMap<number, bigint>> {
    this.calls.push(`claim ${epoch}`)
    return new Map()
  }
}

const EMPTY: LastPublished = { lowest: undefined, highestEpoch: 0, isNew: true }
const holds = (highestEpoch: number, lowest?: Position): LastPublished => ({ lowest, highestEpoch, isNew: false })

async function openProducts() {
  const ctx = await PublisherContext.open()
  await ctx.sql.query('create table product (id int primary key, name text)')
  const open = async (topic: MovingTopic, turnOptions: { maxIdleMs?: number } = {}): Promise<OpenedSource> => {
    const client = await connect(ctx.url, 'test', () => undefined)
    const signal = new AbortController().signal
    try {
      const terms = { client, postgresUrl: ctx.url, source: ctx.source(PRODUCTS), signal, log: ctx.log }
      const turn = await waitForTurn({
        ...{ ...terms, previousBackend: undefined, maxIdleMs: 30_000, onStandby: () => undefined, ...turnOptions },
      })
      const options: OpeningOptions = {
        ...terms,
        turn,
        bus: topic,
        busLostRecords: false,
        undecodableFrom: undefined,
        onNewEpoch: () => undefined,
      }
      return await openSource(options)
    } finally {
      await disconnect(client)
    }
  }
  const rows = async () => (await ctx.sql.query('select epoch, start_lsn from tidemark.epoch order by epoch')).rows
  return { ctx, open, rows }
}

async function codeOf(opening: Promise<unknown>): Promise<unknown> {
  const error = await opening.then(
    () => undefined,
    (e: unknown) => e,
  )
  return isTidemarkError(error) ? error.code : error
}

test('I4: an epoch that another server claims meanwhile is taken back, and no reader has seen it', async () => {
  const { ctx, open, rows } = await openProducts()
  await using _ = ctx
  const topic = new MovingTopic([EMPTY, holds(1)])
  expect(await codeOf(open(topic))).toBe('PUBLISHER_FENCED')
  expect(topic.calls).toEqual(['look', 'take', 'claim 1', 'look before the claim'])
  expect(await rows()).toEqual([])
  expect((await open(new MovingTopic([holds(1), holds(1)]))).epoch.number).toBe(2)
})

test('I4: an opening that was cut off after its claim is not finished: its number is not used again', async () => {
  const { ctx, open, rows } = await openProducts()
  await using _ = ctx
  const cutOff = new MovingTopic([EMPTY])
  expect(await codeOf(open(cutOff))).not.toBeUndefined()
  expect(await rows()).toEqual([{ epoch: 1, start_lsn: null }])
  expect((await open(new MovingTopic([holds(1), holds(1)]))).epoch.number).toBe(2)
})

test('an epoch goes on only if that is still right once nobody else can write', async () => {
  const { ctx, open, rows } = await openProducts()
  await using _ = ctx
  const { from } = await open(new MovingTopic([EMPTY, EMPTY]))
  // As if it had been published and confirmed up to here.
  await ctx.sql.query('update tidemark.epoch set start_lsn = start_lsn - 1')
  const good = holds(1, position(1, from))
  const moved = (after: LastPublished) => codeOf(open(new MovingTopic([good, after])))
  expect(await moved(holds(2, position(1, from)))).toBe('PUBLISHER_FENCED')
  expect(await moved(holds(1, position(1, (from - 1n) as Lsn)))).toBe('BUS_LOST_RECORDS')
  expect(await moved(good)).toBeUndefined()
  expect((await rows()).length).toBe(1)
})

test('a server that was superseded claims nothing: that would shut out whoever is right', async () => {
  const { ctx, open } = await openProducts()
  await using _ = ctx
  await open(new MovingTopic([EMPTY, EMPTY]))
  const topic = new MovingTopic([holds(2)])
  expect(await codeOf(open(topic))).toBe('SOURCE_ABANDONED')
  expect(topic.calls).toEqual(['look'])
})

test('I4: where Kafka has forgotten who published before, the epoch is a new one: they would not be refused', async () => {
  const { ctx, open } = await openProducts()
  await using _ = ctx
  const { from } = await open(new MovingTopic([EMPTY, EMPTY]))
  const held = holds(1, position(1, from))
  expect((await open(new MovingTopic([held, held], false))).epoch).toMatchObject({ number: 2, start: from })
})
