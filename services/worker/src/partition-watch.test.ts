import { expect, test } from '@jest/globals'
import type { TidemarkRecord } from '@tidemark/protocol'
import type { WorkerMetrics } from '@tidemark/telemetry'
import { pino } from 'pino'
import { planBatches } from './batch.ts'
import { Beats } from './beat.ts'
import { EpochLog } from './epoch-log.ts'
import { NewestEpoch } from './newest-epoch.ts'
import { PartitionApplier } from './partition-applier.ts'
import { PartitionWatch } from './partition-watch.ts'
import { GuardModel } from './testing/guard-model.ts'
import { fetched, record } from './testing/record-words.ts'

const going = new AbortController().signal

/** Counts what would be scraped. */
class Counts implements WorkerMetrics {
  readonly of: Record<string, number> = {}
  invalidationLag = (): void => undefined
  events = (_: string, outcome: string): void => this.#add(outcome)
  appliedBatch = (): void => this.#add('batch')
  gap = (): void => this.#add('gap')
  shed = (what: string, count: number): void => this.#add(what, count)
  oldEpochRefused = (count = 1): void => this.#add('refused', count)
  versionRegression = (): void => this.#add('regression')
  #add(name: string, count = 1): void {
    this.of[name] = (this.of[name] ?? 0) + count
  }
}

/** One partition of a region whose Redis is a model. */
class Watched {
  readonly counts = new Counts()
  readonly beats = new Beats()
  readonly lines: string[] = []
  readonly guard: GuardModel
  readonly watch: PartitionWatch
  readonly applier: PartitionApplier

  constructor(guard: GuardModel, epochs?: EpochLog) {
    this.guard = guard
    const log = pino({}, { write: (line: string) => void this.lines.push(JSON.parse(line).msg) })
    this.beats.assign([0])
    this.watch = new PartitionWatch({
      partition: 0,
      guard,
      metrics: this.counts,
      beats: this.beats,
      epochs: epochs ?? new EpochLog(log),
      isKnownKeyspace: () => true,
      log,
    })
    this.applier = new PartitionApplier(0, {
      guard,
      logRange: async () => ({ low: 0n, high: 100n }),
      terms: { maxEvents: 500, maxBytes: 1_048_576, contractOf: () => undefined },
      tombstones: { perGeneration: 10, generationMs: 1_000 },
      patienceMs: 500,
      epochs: new NewestEpoch(),
      observer: this.watch,
      log,
    })
  }

  async resume(): Promise<void> {
    await this.applier.resume(going)
    await this.watch.look()
  }

  async take(...records: readonly TidemarkRecord[]): Promise<void> {
    await this.applier.take(fetched(this.applier.asked!, ...records), going)
    await this.watch.look()
  }

  told(what: string): number {
    return this.lines.filter((line) => line.includes(what)).length
  }
}

test('a new epoch is adopted once; all that an older one says after it is refused, counted, and told once', async () => {
  const region = new Watched(GuardModel.at(5n))
  await region.resume()
  await region.take(record.event('product:1', 10), record.epoch(2, 20), record.watermark(25, 2))
  const before = await region.guard.view()
  for (let again = 1; again <= 3; again++) {
    await region.take(record.event('product:1', 99, 1), record.event('product:2', 99, 1))
    await region.take(record.watermark(99, 1), record.watermark(100, 1), record.floor('product', 99, 1))
    await region.take(record.epoch(1, 99))
  }
  expect(region.counts.of).toMatchObject({ refused: 18, absent: 1 })
  expect(await region.guard.view()).toEqual({ ...before, offset: expect.any(String) })
  expect([region.told('epoch adopted'), region.told('ended epoch')]).toEqual([2, 1])
})

test('two epochs in one fetch: what the old one still says among the new one’s records moves nothing', async () => {
  const region = new Watched(GuardModel.at(5n))
  await region.resume()
  await region.take(
    record.watermark(50, 1),
    record.epoch(2, 10),
    record.event('product:1', 12, 2),
    record.event('product:1', 99, 1),
    record.watermark(99, 1),
    record.floor('product', 99, 1),
    record.watermark(15, 2),
  )
  expect(region.counts.of).toMatchObject({ refused: 3, absent: 1 })
  expect(await region.guard.view()).toMatchObject({
    epoch: '00000002',
    floors: { '*': record.watermark(10, 2).position },
  })
})

test('a watermark of an ended epoch is no beat', async () => {
  const region = new Watched(GuardModel.at(5n, 2))
  await region.resume()
  await region.take(record.watermark(99, 1, 123_000))
  expect(region.beats.now()[0]!.viewAgeMs).toBeUndefined()
  await region.take(record.watermark(10, 2, 124_000))
  expect(region.beats.now()[0]!.viewAgeMs).toBeGreaterThan(0)
})

test('an epoch that is not announced is a gap; its first watermark closes it, and the epoch before is refused', async () => {
  const region = new Watched(GuardModel.at(5n))
  await region.resume()
  await region.take(record.watermark(10, 3))
  expect(region.counts.of).toMatchObject({ gap: 1 })
  expect(region.beats.now()[0]!.inGap).toBe(true)
  await region.take(record.watermark(11, 3))
  await region.take(record.event('product:1', 99, 1))
  expect(region.counts.of).toMatchObject({ refused: 1 })
  expect(region.beats.now()[0]!.inGap).toBe(false)
})

test('what all partitions say of an epoch is told once', async () => {
  const lines: string[] = []
  const epochs = new EpochLog(pino({}, { write: (line: string) => void lines.push(JSON.parse(line).msg) }))
  for (let partition = 0; partition < 4; partition++) {
    const region = new Watched(GuardModel.at(5n), epochs)
    await region.resume()
    await region.take(record.epoch(2, 20), record.event('product:1', 99, 1))
  }
  expect(lines.map((line) => line.slice(0, 20))).toEqual([
    'epoch adopted: what ',
    'epoch adopted: what ',
    'records of an ended ',
  ])
})

test('a worker that has lost the partition counts nothing of what another applied, and no beat', async () => {
  const guard = GuardModel.at(5n)
  const zombie = new Watched(guard)
  await zombie.resume()
  const [heirs] = [
    ...planBatches(fetched(5n, record.watermark(10)), { maxEvents: 9, maxBytes: 9, contractOf: () => undefined }),
  ]
  if (heirs?.kind === 'batch') await guard.apply(heirs.batch)
  const before = zombie.beats.now()[0]!.silentMs
  await zombie.take(record.event('product:1', 9))
  expect(zombie.counts.of).toEqual({})
  expect(zombie.beats.now()[0]!.silentMs).toBeGreaterThan(before)
})
