import { expect, test } from '@jest/globals'
import {
  after,
  covers,
  encodeRecord,
  epochOf,
  type Position,
  position,
  type TidemarkRecord,
  version,
} from '@tidemark/protocol'
import { firstOfStream, offsetOfVersion, type Probe } from './version-search.ts'

type Random = (below: number) => number

/** mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): Random {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/**
 * One partition as publishers leave it: each life begins with a claim and an announcement, goes on at or before what was
 * confirmed, publishes in commit order, and may open a new epoch.
 */
function logOf(random: Random): TidemarkRecord[] {
  const log: TidemarkRecord[] = []
  const lives = 2 + random(4)
  let [epoch, start, confirmed, furthest] = [1, 10, 10, 0]
  for (let life = 1; life <= lives; life++) {
    if (random(4) === 0) [epoch, start, confirmed, furthest] = [epoch + 1, random(60), 0, 0]
    confirmed = Math.max(confirmed, start)
    log.push({ kind: 'claim', position: position(epoch, 0n), timeUs: 0n })
    log.push({ kind: 'epoch', position: position(epoch, BigInt(start)), systemIdentifier: 1n, timeline: 1, timeUs: 0n })
    // The last one has caught up; what a life under way has yet to publish again is the workers' to apply.
    const end = Math.max(confirmed + random(40), life === lives ? furthest : 0)
    let published = confirmed
    while (published < end) {
      published += 2
      log.push(event(epoch, published - 2))
      if (random(3) === 0) log.push({ kind: 'watermark', position: position(epoch, BigInt(published)), timeUs: 0n })
    }
    furthest = Math.max(furthest, published)
    confirmed = Math.max(confirmed, published - random(20))
  }
  return log
}

function event(epoch: number, lsn: number): TidemarkRecord {
  const at = version(epoch, BigInt(lsn % 2 === 0 ? lsn : lsn + 1))
  return { kind: 'event', key: 'k:1', keyspace: 'k', version: at, timeUs: 0n }
}

function probeOf(log: readonly TidemarkRecord[]): Probe {
  const records = log.map((record, at) => ({ offset: String(at), ...encodeRecord(record), batchContext: CONTEXT }))
  return async (from, before) => firstOfStream(records.slice(Number(from), Number(before)))
}

const CONTEXT = { producerId: '1', producerEpoch: 0, inTransaction: false }

/** What is not below `wanted` and lies neither at or after `from` nor under the floor of an epoch that does. */
function missed(log: readonly TidemarkRecord[], wanted: Position, from: bigint): string[] {
  const later = log.slice(Number(from))
  const found = new Set(later.flatMap((r) => (r.kind === 'event' ? [r.version] : [])))
  const newest = Math.max(0, ...later.flatMap((r) => (r.kind === 'epoch' ? [epochOf(r.position)] : [])))
  const events = log.flatMap((r) => (r.kind === 'event' ? [r.version] : []))
  return events.filter((v) => !covers(wanted, v) && !found.has(v) && epochOf(v) >= newest)
}

const SEEDS = 500

test('wherever lives overlap, no event at or after the version is missed, and little of what is before is found', async () => {
  const seed = Number(process.env.TIDEMARK_TEST_SEED ?? 1 + Math.floor(Math.random() * 2 ** 30))
  let skipped = 0
  for (let at = seed; at < seed + SEEDS; at++) {
    const random = randomOf(at)
    const log = logOf(random)
    const wanted = position(1 + random(3), BigInt(random(120)))
    const from = await offsetOfVersion(0n, BigInt(log.length), wanted, probeOf(log))
    expect([at, missed(log, wanted, from)]).toEqual([at, []])
    skipped += Number(from)
  }
  expect(skipped / SEEDS).toBeGreaterThan(5)
})

test('an announcement that stands after younger events does not hide them', async () => {
  const log: TidemarkRecord[] = [
    ...[10, 20, 30, 40].map((lsn) => event(1, lsn)),
    { kind: 'claim', position: position(1, 0n), timeUs: 0n },
    { kind: 'epoch', position: position(1, 0n), systemIdentifier: 1n, timeline: 1, timeUs: 0n },
    ...[50, 60].map((lsn) => event(1, lsn)),
  ]
  expect(await offsetOfVersion(0n, 8n, position(1, 20n), probeOf(log))).toBe(1n)
  expect(await offsetOfVersion(0n, 8n, after(version(1, 40n)), probeOf(log))).toBeLessThanOrEqual(6n)
  expect(await offsetOfVersion(0n, 8n, position(2, 0n), probeOf(log))).toBe(8n)
  expect(await offsetOfVersion(3n, 3n, position(1, 20n), probeOf(log))).toBe(3n)
})
