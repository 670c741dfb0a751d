import { describe, expect, test } from '@jest/globals'
import { decodePayload } from '@tidemark/guard'
import { type Contract, contractSchema, isTidemarkError, type TidemarkRecord } from '@tidemark/protocol'
import fc from 'fast-check'
import { type BatchTerms, type FetchedRecord, type PlannedBatch, planBatches } from './batch.ts'
import { GuardModel } from './testing/guard-model.ts'
import { at, fetched, record } from './testing/record-words.ts'

const contracts: Readonly<Record<string, Contract>> = {
  product: contractSchema.parse({}),
  article: contractSchema.parse({ retainStaleMs: 60_000 }),
  price: contractSchema.parse({ reaction: 'update', ttlMs: 90_000, retainStaleMs: 5_000 }),
  page: contractSchema.parse({ reaction: 'refresh', retainStaleMs: 70_000 }),
  secret: contractSchema.parse({ reaction: 'bypass' }),
}
const terms: BatchTerms = { maxEvents: 500, maxBytes: 1_048_576, contractOf: (keyspace) => contracts[keyspace] }

function batches(records: readonly FetchedRecord[], maxEvents = 500, maxBytes = 1_048_576): PlannedBatch[] {
  return [...planBatches(records, { ...terms, maxEvents, maxBytes })].filter((plan) => plan.kind === 'batch')
}

const projected = (key: string, lsn: number, value: string) => ({
  ...record.event(key, lsn),
  projection: Buffer.from(value),
})

describe('folding', () => {
  test('one batch covers every offset of its records', () => {
    const [plan, ...more] = batches(fetched(7n, record.event('product:1', 10), record.watermark(11)))
    expect(more).toEqual([])
    expect(plan!.batch).toMatchObject({ from: 7n, next: 9n, epochStart: null })
  })

  test('events of one key become the newest, and the commit times of all are kept', () => {
    const [plan] = batches(
      fetched(0n, record.event('product:1', 20), record.event('product:2', 30), record.event('product:1', 10)),
    )
    expect(plan!.batch.events.map((e) => [e.key, e.version])).toEqual([
      ['product:1', record.event('', 20).version],
      ['product:2', record.event('', 30).version],
    ])
    expect(plan!.commits).toHaveLength(3)
  })

  test('an event of a later epoch is newer, whatever its LSN', () => {
    const [plan] = batches(fetched(0n, record.event('product:1', 10, 2), record.event('product:1', 99, 1)))
    expect(plan!.batch.events[0]!.version).toBe(record.event('', 10, 2).version)
  })

  test('the newest watermark and the newest beat of its epoch are kept', () => {
    const [plan] = batches(
      fetched(0n, record.watermark(20, 1, 5_000), record.watermark(20, 1, 6_000), record.watermark(15, 1, 7_000)),
    )
    expect(plan!.batch.watermark).toEqual({ position: at(20), beatMs: 7_000 })
  })

  test('the clock of an abandoned history says nothing about the epoch that follows it', () => {
    const [plan] = batches(fetched(0n, record.watermark(20, 1, 90_000), record.watermark(5, 2, 10_000)))
    expect(plan!.batch.watermark).toEqual({ position: at(5, 2), beatMs: 10_000 })
  })

  test('the highest floor of a keyspace is kept', () => {
    const [plan] = batches(
      fetched(0n, record.floor('product', 9), record.floor('product', 5), record.floor('article', 7)),
    )
    expect(plan!.batch.floors).toEqual([
      { keyspace: 'product', position: at(9) },
      { keyspace: 'article', position: at(7) },
    ])
  })

  test('a keyspace retains what its contract says, one that the configuration does not name nothing', () => {
    const [plan] = batches(fetched(0n, record.event('article:1', 1), record.event('stranger:1', 2)))
    expect(plan!.batch.events.map((e) => e.retainStaleMs)).toEqual([60_000, 0])
    expect(plan!.keyspaces).toEqual(['article', 'stranger'])
  })
})

describe('the reaction of a keyspace', () => {
  const invalidations = (...records: readonly TidemarkRecord[]) => batches(fetched(0n, ...records))[0]!.batch.events

  test('update takes the projection along, with the time to live of the contract, and retains where it cannot', () => {
    const [event] = invalidations(projected('price:1', 10, 'ten'))
    expect(event!.update).toMatchObject({ keyspace: 'price', ttlMs: 90_000 })
    expect(decodePayload(event!.update!.payload)).toMatchObject({
      codec: 0,
      body: Buffer.from('ten'),
      dependencies: [],
    })
    expect(event!.retainStaleMs).toBe(5_000)
  })

  test('refresh retains; invalidate and bypass do what the contract retains', () => {
    const events = invalidations(record.event('page:1', 1), record.event('secret:1', 2), record.event('product:1', 3))
    expect(events.map((e) => [e.retainStaleMs, e.update])).toEqual([
      [70_000, undefined],
      [0, undefined],
      [0, undefined],
    ])
  })

  test.each(['product', 'page', 'secret', 'stranger'])(
    'a projection of keyspace %s, which is not updated in place any more or not known, only invalidates',
    (keyspace) => expect(invalidations(projected(`${keyspace}:1`, 10, 'ten'))[0]!.update).toBeUndefined(),
  )

  test('the newest of a key decides, with its own projection', () => {
    const [event] = invalidations(projected('price:1', 20, 'twenty'), projected('price:1', 10, 'ten'))
    expect(decodePayload(event!.update!.payload).body.toString()).toBe('twenty')
  })

  test('the newest of a key decides, also when it has no projection', () => {
    expect(invalidations(projected('price:1', 10, 'ten'), record.event('price:1', 20))[0]!.update).toBeUndefined()
  })

  test('two projections of one commit that differ update nothing, whichever comes first or again', () => {
    const [ten, eleven] = [projected('price:1', 10, 'ten'), projected('price:1', 10, 'eleven')]
    expect(invalidations(ten, eleven)[0]!.update).toBeUndefined()
    expect(invalidations(ten, eleven, eleven)[0]!.update).toBeUndefined()
    expect(invalidations(ten, record.event('price:1', 10))[0]!.update).toBeUndefined()
    expect(invalidations(record.event('price:1', 10), ten)[0]!.update).toBeUndefined()
  })

  test('an event that is delivered twice updates as it does once', () => {
    const ten = projected('price:1', 10, 'ten')
    expect(decodePayload(invalidations(ten, ten)[0]!.update!.payload).body.toString()).toBe('ten')
  })
})

describe('epochs', () => {
  test('the records of each epoch are counted, folded ones included, claims not', () => {
    const [plan] = batches(
      fetched(
        0n,
        record.event('product:1', 9, 2),
        record.event('product:1', 99, 1),
        record.event('product:1', 98, 1),
        record.watermark(20, 1),
        record.floor('product', 5, 1),
        record.claim(3),
        record.watermark(10, 2),
      ),
    )
    expect(plan!.epochs).toEqual(
      new Map([
        [2, 2],
        [1, 4],
      ]),
    )
  })
})

describe('a claim', () => {
  test('is passed over: it is no hole, it announces no epoch, and its position is no watermark', () => {
    const [plan, ...more] = batches(fetched(7n, record.watermark(1), record.claim(2), record.event('product:1', 3)))
    expect(more).toEqual([])
    expect(plan!.batch).toMatchObject({ from: 7n, next: 10n, epochStart: null, watermark: { position: at(1) } })
    expect(plan!.batch.events).toHaveLength(1)
  })

  test('alone moves the offset, and nothing else', () => {
    const [plan] = batches(fetched(7n, record.claim(2)))
    expect(plan!.batch).toMatchObject({ from: 7n, next: 8n, epochStart: null, watermark: null, floors: [], events: [] })
  })
})

describe('splitting', () => {
  test('a batch begins at the start of an epoch', () => {
    const plans = batches(fetched(0n, record.watermark(1), record.epoch(2, 5), record.event('product:1', 6, 2)))
    expect(plans.map(({ batch }) => [batch.from, batch.next, batch.epochStart])).toEqual([
      [0n, 1n, null],
      [1n, 3n, at(5, 2)],
    ])
  })

  test('two epochs never share a batch', () => {
    const plans = batches(fetched(0n, record.epoch(2, 5), record.epoch(3, 6)))
    expect(plans.map(({ batch }) => batch.epochStart)).toEqual([at(5, 2), at(6, 3)])
  })

  test('a batch holds no more events and floors than the limit, folded ones included', () => {
    const same = record.event('product:1', 1)
    const plans = batches(fetched(0n, same, same, same, record.floor('product', 1), same), 2)
    expect(plans.map(({ batch }) => batch.next - batch.from)).toEqual([2n, 2n, 1n])
  })
})

describe('the bytes of a batch', () => {
  const large = Buffer.alloc(10_000, 'x').toString()

  test('a batch ends before the projection that would not fit', () => {
    const plans = batches(fetched(0n, ...[1, 2, 3, 4, 5].map((n) => projected(`price:${n}`, n, large))), 500, 25_000)
    expect(plans.map(({ batch }) => batch.events.length)).toEqual([2, 2, 1])
  })

  test('projections that the contract does not ask for count too: the memory is held either way', () => {
    const plans = batches(fetched(0n, ...[1, 2, 3].map((n) => projected(`product:${n}`, n, large))), 500, 25_000)
    expect(plans.map(({ batch }) => batch.events.length)).toEqual([2, 1])
  })

  test('a record that exceeds the bound by itself goes alone, and nothing is left out', () => {
    const plans = batches(
      fetched(0n, record.watermark(1), projected('price:1', 2, large), record.watermark(3)),
      500,
      99,
    )
    expect(plans.map(({ batch }) => [batch.from, batch.next])).toEqual([
      [0n, 1n],
      [1n, 2n],
      [2n, 3n],
    ])
  })
})

describe('breaks', () => {
  const poison: FetchedRecord = { offset: 2n, key: null, value: Buffer.from('not ours') }

  test('what came before a record that cannot be read is a batch of its own, and what follows starts after it', () => {
    const around = [
      ...fetched(0n, record.watermark(1), record.watermark(2)),
      poison,
      ...fetched(3n, record.watermark(3)),
    ]
    const plans = [...planBatches(around, terms)]
    expect(plans.map((p) => (p.kind === 'batch' ? [p.batch.from, p.batch.next] : [p.cause, p.at, p.next]))).toEqual([
      [0n, 2n],
      ['record-malformed', 2n, 3n],
      [3n, 4n],
    ])
  })

  test.each([
    ['RECORD_MALFORMED', Buffer.from('not ours')],
    ['RECORD_FORMAT_UNKNOWN', Buffer.alloc(22, 9)],
  ] as const)('a break says %s', (code, value) => {
    const [plan] = [...planBatches([{ offset: 2n, key: null, value }], terms)]
    expect(plan?.kind === 'break' && isTidemarkError(plan.error, code)).toBe(true)
  })

  test('an offset that is missing is a break, never read over', () => {
    const plans = [...planBatches([...fetched(0n, record.watermark(1)), ...fetched(4n, record.watermark(2))], terms)]
    expect(plans[1]).toMatchObject({ kind: 'break', cause: 'offset-gone', at: 1n, next: 4n, error: null })
    expect(plans[2]).toMatchObject({ batch: { from: 4n, next: 5n } })
  })

  test('a hole right before a record that cannot be read is two breaks', () => {
    const plans = [...planBatches([...fetched(0n, record.watermark(1)), poison], terms)]
    expect(plans.slice(1).map((p) => p.kind === 'break' && [p.cause, p.at, p.next])).toEqual([
      ['offset-gone', 1n, 2n],
      ['record-malformed', 2n, 3n],
    ])
  })
})

const keyed = fc.constantFrom('product:1', 'product:2', 'article:1', 'article:2')
const lsn = fc.integer({ min: 1, max: 60 })

/** A log whose epochs are announced; records of older epochs may come between, as a fenced publisher's would. */
const log = fc
  .array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('event' as const), key: keyed, lsn, back: fc.nat(1) }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('watermark' as const), lsn, back: fc.nat(1), ms: fc.nat() }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('floor' as const), lsn, back: fc.nat(1) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('epoch' as const), lsn }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('claim' as const), ahead: fc.nat(1) }) },
    ),
    { maxLength: 40 },
  )
  .map((steps) => {
    let epoch = 1
    return steps.map((step): TidemarkRecord => {
      if (step.kind === 'epoch') return record.epoch(++epoch, step.lsn)
      if (step.kind === 'claim') return record.claim(epoch + step.ahead)
      const of = Math.max(1, epoch - step.back)
      if (step.kind === 'event') return record.event(step.key, step.lsn, of)
      return step.kind === 'floor' ? record.floor('product', step.lsn, of) : record.watermark(step.lsn, of, step.ms)
    })
  })

const cells = fc.dictionary(keyed, lsn)

async function modelAfter(
  start: () => GuardModel,
  live: Record<string, number>,
  plans: readonly PlannedBatch[],
): Promise<GuardModel> {
  const model = start()
  for (const [key, low] of Object.entries(live)) model.cells.set(key, { state: 'live', low: at(low) })
  for (const { batch } of plans) expect(await model.apply(batch)).toMatchObject({ code: 'applied' })
  return model
}

const oneByOne = (records: readonly FetchedRecord[]) => records.flatMap((r) => batches([r]))

test('folded batches leave a trusted partition exactly as one record at a time does', async () => {
  await fc.assert(
    fc.asyncProperty(log, cells, fc.integer({ min: 1, max: 20 }), async (records, live, maxEvents) => {
      const all = fetched(5n, ...records)
      const start = () => GuardModel.at(5n)
      const folded = await modelAfter(start, live, batches(all, maxEvents))
      const single = await modelAfter(start, live, oneByOne(all))
      expect(await folded.view()).toEqual(await single.view())
      expect(folded.cells).toEqual(single.cells)
      expect(folded.tombstones).toEqual(single.tombstones)
    }),
    { numRuns: 300 },
  )
})

test('folded batches close a gap later or at the same place, and never claim more', async () => {
  await fc.assert(
    fc.asyncProperty(log, cells, async (records, live) => {
      const all = fetched(5n, ...records)
      const inGap = () => GuardModel.inGap(5n)
      const folded = await modelAfter(inGap, live, batches(all))
      const single = await modelAfter(inGap, live, oneByOne(all))
      const [f, s] = [(await folded.view())!, (await single.view())!]
      expect([f.gap, f.watermark, f.newest, f.offset]).toEqual([s.gap, s.watermark, s.newest, s.offset])
      expect(f.horizon >= s.horizon && (f.floors['*'] ?? '') >= (s.floors['*'] ?? '')).toBe(true)
      expect(folded.cells).toEqual(single.cells)
      expect(folded.tombstones).toEqual(single.tombstones)
    }),
    { numRuns: 300 },
  )
})
