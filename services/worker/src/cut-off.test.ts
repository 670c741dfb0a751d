import { describe, expect, test } from '@jest/globals'
import { allKeyspaces, defineSource, type Source } from '@tidemark/protocol'
import type { PartitionBeat } from './beat.ts'
import { alarmsOf, delayOf, readingsOf, sentenceOf } from './cut-off.ts'

const terms = { stallMs: 10_000, clockSkewMs: 500 }

function beat(partition: number, silentMs: number, viewAgeMs: number | undefined = silentMs): PartitionBeat {
  return { partition, silentMs, viewAgeMs, inGap: false }
}

const unknown = (partition: number, silentMs: number): PartitionBeat => ({
  partition,
  silentMs,
  viewAgeMs: undefined,
  inGap: true,
})

describe('a delay', () => {
  test('is a cut-off where no beat has come for longer than the limit, and the worst partition gives its length', () => {
    expect(delayOf([beat(0, 10_001), beat(1, 9_000), beat(2, 12_000)], terms)).toEqual({
      kind: 'cut off',
      partitions: [0, 2],
      forMs: 12_000,
    })
  })

  test('is none while a silence is exactly as long as the limit, or nothing is held', () => {
    expect(delayOf([beat(0, 10_000)], terms)).toBeNull()
    expect(delayOf([], terms)).toBeNull()
  })

  test('is being behind where beats come, but old ones: a backlog is caught up with', () => {
    expect(delayOf([beat(0, 20, 600_000), beat(1, 20, 300)], terms)).toEqual({
      kind: 'behind',
      partitions: [0],
      forMs: 600_000,
    })
  })

  test('is a cut-off as soon as one partition is silent, however far behind another is', () => {
    expect(delayOf([beat(0, 20, 600_000), beat(1, 11_000)], terms)).toMatchObject({ kind: 'cut off', partitions: [1] })
  })

  test('is none within the skew of two clocks', () => {
    expect(delayOf([beat(0, 20, 10_500)], terms)).toBeNull()
    expect(delayOf([beat(0, 20, 10_501)], terms)).toMatchObject({ kind: 'behind' })
  })
})

const source = defineSource({
  name: 'shop',
  keyspaces: {
    price: keyspace('price', { maxStalenessMs: 10_000, criticality: 'high' }),
    product: keyspace('product', { maxStalenessMs: 10_000 }),
    story: keyspace('story', { maxStalenessMs: 10_000, criticality: 'low' }),
  },
}) as unknown as Source
const keyspaces = Object.values(source.keyspaces)

function keyspace(name: string, contract: { maxStalenessMs: number; criticality?: 'low' | 'high' }) {
  return { key: `${name}:{id}`, tables: { [`public.${name}`]: { id: 'id' } }, contract }
}

describe('alarms', () => {
  test.each([
    [5_000, []],
    [5_001, ['price']],
    [10_001, ['price', 'product']],
    [100_001, ['price', 'product', 'story']],
  ])('an age of %d ms is one for %j', (ageMs, names) => {
    expect(alarmsOf([beat(0, 0, 0), beat(1, 20, ageMs)], keyspaces).map((a) => a.keyspace)).toEqual(names)
  })

  test('are since the moment at which the bound was passed', () => {
    expect(alarmsOf([beat(0, 7_000)], keyspaces)).toEqual([{ keyspace: 'price', criticality: 'high', forMs: 2_000 }])
  })

  test('a silence counts where the age of the view is not known', () => {
    expect(alarmsOf([unknown(0, 20_000)], keyspaces).map((a) => a.keyspace)).toEqual(['price', 'product'])
  })
})

describe('readings', () => {
  test('are of the partition that is worst off', () => {
    expect(readingsOf([beat(0, 7_000, 500), beat(1, 100, 200)], allKeyspaces(source))).toEqual({
      beatAgeSeconds: 7,
      viewAgeSeconds: 0.5,
      gapsOpen: 0,
      stalenessAlarms: { price: true, product: false, story: false, tag: false },
    })
  })

  test('an age that is not known of every partition is absent, not that of the others', () => {
    expect(readingsOf([beat(0, 100), unknown(1, 100)], keyspaces)).toMatchObject({
      viewAgeSeconds: undefined,
      gapsOpen: 1,
    })
  })

  test('a worker that holds nothing knows nothing', () => {
    expect(readingsOf([], keyspaces)).toEqual({})
  })
})

test('a sentence says since when, how long, where, and which keyspaces are in alarm', () => {
  const nowMs = Date.parse('2026-01-01T00:00:20.000Z')
  const beats = [beat(0, 12_000.4), beat(3, 11_000)]
  expect(sentenceOf(delayOf(beats, terms)!, alarmsOf(beats, keyspaces), nowMs)).toBe(
    'cut off since 2026-01-01T00:00:07.999Z (12000 ms): no beat on partitions 0, 3; in alarm: price, product',
  )
  const behind = delayOf([beat(0, 20, 20_000)], terms)!
  expect(sentenceOf(behind, [], nowMs)).toBe(
    'behind since 2026-01-01T00:00:00.000Z (20000 ms): beats come, but the view is no newer on partitions 0; ' +
      'in alarm: no keyspace',
  )
})
