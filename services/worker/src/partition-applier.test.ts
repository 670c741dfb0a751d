import { describe, expect, test } from '@jest/globals'
import { encodeRecord, TidemarkError } from '@tidemark/protocol'
import { serviceLog } from '@tidemark/service'
import type { FetchedRecord } from './batch.ts'
import type { LogRange } from './log-range.ts'
import { NewestEpoch } from './newest-epoch.ts'
import { type GapCause, PartitionApplier, type Surroundings } from './partition-applier.ts'
import { GuardModel } from './testing/guard-model.ts'
import { at, fetched, record } from './testing/record-words.ts'

const going = new AbortController().signal

class Fixture {
  readonly gaps: GapCause[] = []
  readonly applier: PartitionApplier
  range: LogRange = { low: 0n, high: 100n }

  constructor(guard: Surroundings['guard'], epochs = new NewestEpoch()) {
    this.applier = new PartitionApplier(0, {
      guard,
      logRange: async () => this.range,
      terms: { maxEvents: 500, maxBytes: 1_048_576, contractOf: () => undefined },
      tombstones: { perGeneration: 10, generationMs: 1_000 },
      epochs,
      patienceMs: 500,
      observer: { applied: () => undefined, displaced: () => undefined, gap: (cause) => this.gaps.push(cause) },
      log: serviceLog('applier-test', 'silent'),
    })
  }
}

test('a partition without a view starts with a gap at the end of the log', async () => {
  const guard = new GuardModel()
  const { applier, gaps } = new Fixture(guard)
  expect(await applier.resume(going)).toBe(100n)
  expect(gaps).toEqual(['view-missing'])
  expect(await guard.view()).toMatchObject({ gap: 'view-missing' })
})

test('records from the stored offset on are applied, and the next offset is after them', async () => {
  const guard = GuardModel.at(5n)
  const { applier, gaps } = new Fixture(guard)
  expect(await applier.resume(going)).toBe(5n)
  expect(await applier.take(fetched(5n, record.event('product:1', 9), record.watermark(10)), going)).toBe(7n)
  expect(await guard.view()).toMatchObject({ watermark: at(10) })
  expect(gaps).toEqual([])
})

test('I4: records that do not start where they were asked for are not applied, and Redis is asked again', async () => {
  const guard = GuardModel.at(5n)
  const { applier } = new Fixture(guard)
  await applier.resume(going)
  expect(await applier.take(fetched(6n, record.watermark(10)), going)).toBe(5n)
  expect(await guard.view()).toMatchObject({ watermark: at(0, 0) })
})

test('I4: an offset that Kafka passes over again and again is a gap, not a loop', async () => {
  const fixture = new Fixture(GuardModel.at(5n))
  await fixture.applier.resume(going)
  const beyond = fetched(9n, record.watermark(10))
  expect(await fixture.applier.take(beyond, going)).toBe(5n)
  expect(await fixture.applier.take(beyond, going)).toBe(5n)
  expect(await fixture.applier.take(beyond, going)).toBe(100n)
  expect(fixture.gaps).toEqual(['offset-gone'])
})

test('I4: an offset that retention has removed meanwhile is a gap at the end', async () => {
  const fixture = new Fixture(GuardModel.at(5n))
  await fixture.applier.resume(going)
  fixture.range = { low: 50n, high: 60n }
  expect(await fixture.applier.take(fetched(50n, record.watermark(10)), going)).toBe(60n)
  expect(fixture.gaps).toEqual(['offset-gone'])
})

test('I3: a Redis that went back is followed to where it stands', async () => {
  let guard = GuardModel.at(5n)
  const { applier } = new Fixture({
    apply: (batch) => guard.apply(batch),
    declareGap: (...args) => guard.declareGap(...args),
    view: () => guard.view(),
  })
  await applier.resume(going)
  await applier.take(fetched(5n, record.watermark(10)), going)
  guard = GuardModel.at(3n)
  expect(await applier.take(fetched(6n, record.watermark(11)), going)).toBe(3n)
  expect(await applier.take(fetched(3n, ...[8, 9, 10, 11].map((lsn) => record.watermark(lsn))), going)).toBe(7n)
  expect(await guard.view()).toMatchObject({ watermark: at(11) })
})

test('I3: a view that is lost on the way is a gap at the end, asked for after noticing', async () => {
  const guard = GuardModel.at(5n)
  const fixture = new Fixture(guard)
  await fixture.applier.resume(going)
  guard.flush()
  fixture.range = { low: 0n, high: 123n }
  expect(await fixture.applier.take(fetched(5n, record.watermark(10)), going)).toBe(123n)
  expect(fixture.gaps).toEqual(['view-missing'])
})

test('an epoch that was never announced is a gap at the end', async () => {
  const fixture = new Fixture(GuardModel.at(5n, 1))
  await fixture.applier.resume(going)
  expect(await fixture.applier.take(fetched(5n, record.watermark(10, 2)), going)).toBe(100n)
  expect(fixture.gaps).toEqual(['epoch-unannounced'])
})

describe('I4: the gap of a partition whose view is gone is not ended by an epoch that is abandoned', () => {
  const MET: readonly [string, (epochs: NewestEpoch) => Promise<unknown>][] = [
    ['a view of another partition', (epochs) => new Fixture(GuardModel.at(5n, 2), epochs).applier.resume(going)],
    [
      'a record of another partition, which nothing had announced',
      async (epochs) => {
        const { applier } = new Fixture(GuardModel.at(5n, 1), epochs)
        await applier.resume(going)
        await applier.take(fetched(5n, record.watermark(10, 2)), going)
      },
    ],
  ]

  test.each(MET)('as %s has shown', async (_, meet) => {
    const epochs = new NewestEpoch()
    await meet(epochs)
    const guard = new GuardModel()
    const { applier } = new Fixture(guard, epochs)
    await applier.resume(going)
    await applier.take(fetched(100n, record.watermark(90, 1)), going)
    expect(await guard.view()).toMatchObject({ gap: 'view-missing', epoch: '00000002' })
    await applier.take(fetched(101n, record.watermark(20, 2)), going)
    expect((await guard.view())!.gap).toBeUndefined()
  })
})

describe('a record that cannot be read', () => {
  const poisoned: FetchedRecord[] = [
    ...fetched(5n, record.event('product:1', 9), record.watermark(10)),
    { offset: 7n, key: null, value: Buffer.from('not ours') },
    ...fetched(8n, record.event('product:2', 20)),
  ]

  test('I4: opens a gap right after it, with what came before applied and what follows taken', async () => {
    const guard = GuardModel.at(5n)
    const fixture = new Fixture(guard)
    await fixture.applier.resume(going)
    expect(await fixture.applier.take(poisoned, going)).toBe(9n)
    expect(fixture.gaps).toEqual(['record-malformed'])
    expect(await guard.view()).toMatchObject({ gap: 'record-malformed', watermark: at(0, 0) })
    expect([...guard.tombstones.keys()]).toEqual(['product:2'])
  })

  test('the first watermark after it is trusted again', async () => {
    const guard = GuardModel.at(5n)
    const fixture = new Fixture(guard)
    await fixture.applier.resume(going)
    await fixture.applier.take([...poisoned, ...fetched(9n, record.watermark(30))], going)
    expect(await guard.view()).toMatchObject({ watermark: at(30), floors: { '*': at(30) } })
    expect((await guard.view())!.gap).toBeUndefined()
  })
})

describe('a worker that has lost the partition', () => {
  test('I4: applies nothing: what it still has in hand is refused', async () => {
    const guard = GuardModel.at(5n)
    const [zombie, heir] = [new Fixture(guard), new Fixture(guard)]
    await zombie.applier.resume(going)
    await heir.applier.resume(going)
    await heir.applier.take(fetched(5n, record.watermark(10), record.watermark(11)), going)
    expect(await zombie.applier.take(fetched(5n, record.watermark(99)), going)).toBe(7n)
    expect(await guard.view()).toMatchObject({ watermark: at(11) })
  })

  test('I4: declares no gap: the view is no longer as it saw it', async () => {
    const guard = GuardModel.at(5n)
    const heir = new Fixture(guard)
    await heir.applier.resume(going)
    const zombie = new Fixture(guard)
    await zombie.applier.resume(going)
    await heir.applier.take(fetched(5n, record.watermark(10)), going)
    const poison = { offset: 5n, key: null, value: encodeRecord(record.watermark(1)).value.subarray(0, 9) }
    expect(await zombie.applier.take([poison], going)).toBe(6n)
    expect(zombie.gaps).toEqual([])
    expect((await guard.view())!.gap).toBeUndefined()
  })
})

describe('a Redis that fails', () => {
  function failing(times: number, before: boolean) {
    const guard = GuardModel.at(5n)
    let left = times
    const fixture = new Fixture({
      view: () => guard.view(),
      declareGap: (...args) => guard.declareGap(...args),
      apply: async (batch) => {
        const result = before && left > 0 ? null : await guard.apply(batch)
        if (left-- > 0 || result === null) throw new TidemarkError('SERVER_UNREACHABLE', 'timed out')
        return result
      },
    })
    return { guard, fixture }
  }

  test('is tried again, and nothing is skipped', async () => {
    const { guard, fixture } = failing(3, true)
    await fixture.applier.resume(going)
    expect(await fixture.applier.take(fetched(5n, record.watermark(10)), going)).toBe(6n)
    expect(await guard.view()).toMatchObject({ watermark: at(10) })
  })

  test('may have applied a batch whose answer was lost: then the next batch follows', async () => {
    const { guard, fixture } = failing(1, false)
    await fixture.applier.resume(going)
    const records = fetched(5n, record.watermark(10), record.epoch(2, 20), record.watermark(30, 2))
    expect(await fixture.applier.take(records, going)).toBe(8n)
    expect(await guard.view()).toMatchObject({ watermark: at(30, 2) })
  })

  test('ends the take after a while, with the offset where it was', async () => {
    const { fixture } = failing(1_000, true)
    await fixture.applier.resume(going)
    await expect(fixture.applier.take(fetched(5n, record.watermark(10)), going)).rejects.toMatchObject({
      code: 'SERVER_UNREACHABLE',
    })
    expect(fixture.applier.asked).toBe(5n)
  })
})
