import { expect, test } from '@jest/globals'
import { defineSource, position } from '@tidemark/protocol'
import { parseRedisUrl } from '@tidemark/redis'
import { MistakenArguments } from '../argument-mistakes.ts'
import type { Flags } from '../command.ts'
import { replayTerms } from './replay-terms.ts'

const NOW_MS = Date.UTC(2026, 5, 1, 12)
const SOURCE = defineSource({
  name: 'shop',
  partitions: 4,
  keyspaces: { product: { key: 'product:{id}', tables: {} } },
})
const REGIONS = [{ name: 'eu-west', redis: { endpoint: parseRedisUrl('redis://127.0.0.1', () => undefined)! } }]

const GIVEN = { regions: REGIONS, tombstones: { maxTombstones: 1_600, tombstoneMs: 9_000 } }

const terms = (flags: Flags) => replayTerms({ region: 'eu-west', ...flags }, SOURCE, GIVEN, NOW_MS)

function mistakes(flags: Flags): string {
  try {
    terms(flags)
    return ''
  } catch (error) {
    expect(error).toBeInstanceOf(MistakenArguments)
    return (error as Error).message
  }
}

test('each of the three beginnings is read', () => {
  expect(terms({ 'from-offset': '12' }).start).toEqual({ kind: 'offset', offset: 12n })
  expect(terms({ 'from-time': '5m-ago' }).start).toEqual({ kind: 'time', timeMs: NOW_MS - 300_000 })
  expect(terms({ 'from-time': '2026-06-01T13:00:00+02:00' }).start).toEqual({
    kind: 'time',
    timeMs: NOW_MS - 3_600_000,
  })
  expect(terms({ 'from-version': '2/0/1A' }).start).toEqual({ kind: 'version', position: position(2, 26n) })
  expect(terms({ 'from-offset': '0', partition: '3', keyspace: 'product' })).toMatchObject({
    partition: 3,
    keyspace: 'product',
    region: REGIONS[0],
  })
})

test('what a replay writes is bounded as what the workers write', () => {
  expect(terms({ 'from-offset': '0' }).tombstones).toEqual({ perGeneration: 100, generationMs: 3_000 })
})

test('all mistakes are told at once', () => {
  const told = mistakes({ region: 'mars', partition: '4', keyspace: 'produce' })
  expect(told).toMatch(/"mars": there is none; the environment names eu-west/)
  expect(told).toMatch(/one of --from-offset, --from-time, --from-version/)
  expect(told).toMatch(/--partition "4": there are 0 to 3/)
  expect(told).toMatch(/no keyspace "produce"/)
})

test.each([
  [{ 'from-offset': '-1' }],
  [{ 'from-offset': '1', 'from-time': '5m-ago' }],
  // Of another zone it would be another time.
  [{ 'from-time': '2026-06-01T11:00:00' }],
  [{ 'from-time': '2026-06-01T12:00:01Z' }],
  [{ 'from-time': '5m' }],
  [{ 'from-version': '0/1A' }],
  [{ 'from-offset': '1', partition: 'one' }],
])('%j is a mistake', (flags) => {
  expect(mistakes(flags)).not.toBe('')
})
