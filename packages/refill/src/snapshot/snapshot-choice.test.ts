import { describe, expect, test } from '@jest/globals'
import { judge, type Label } from '@tidemark/guard'
import { type Position, position } from '@tidemark/protocol'
import fc from 'fast-check'
import { choosePoint, exactInterval, holdsOver, isOfAnInstant, sharedByAll } from './snapshot-choice.ts'

const at = (lsn: number) => position(1, BigInt(lsn))
const label = (low: number, high: number): Label => ({ low: at(low), high: at(high) })
const view = (watermark: number) => ({ watermark: at(watermark) })

const LOG = 12
const KEYS = 4
const PARTITIONS = 2

/** A key's commits by their LSNs, which positions above cover. */
type Commits = ReadonlySet<number>

interface World {
  /** LSN → the keys that its transaction changed, one or several, or none of these. */
  readonly log: readonly (readonly number[])[]
  readonly watermarks: readonly number[]
  readonly cells: readonly {
    readonly key: number
    readonly label: readonly [number, number]
    readonly value: Commits
  }[]
}

const commitsTo = (log: World['log'], key: number): number[] =>
  log.flatMap((keys, lsn) => (keys.includes(key) ? [lsn] : []))

/** As the database held the key at a position: all that it covers. */
const held = (log: World['log'], key: number, at: number): Commits =>
  new Set(commitsTo(log, key).filter((lsn) => lsn < at))

/** Whether a cell with this label can be live: every invalidation that the watermark covers has been applied (I2, I3). */
const isLive = (log: World['log'], key: number, low: number, watermark: number) =>
  commitsTo(log, key).every((lsn) => lsn < low || lsn >= watermark)

const logs = fc.array(fc.subarray([...Array(KEYS).keys()], { maxLength: 1 + (KEYS >> 2) }), {
  minLength: LOG,
  maxLength: LOG,
})

/** Histories, a watermark a partition, and cells with true labels (I1) that may be there still. */
const worlds: fc.Arbitrary<World> = fc
  .record({
    log: logs,
    watermarks: fc.array(fc.integer({ min: LOG >> 1, max: LOG }), { minLength: PARTITIONS, maxLength: PARTITIONS }),
    cells: fc.array(fc.record({ key: fc.nat(KEYS - 1), low: fc.nat(LOG), width: fc.nat(3), shows: fc.nat(0xff) }), {
      maxLength: 6,
    }),
  })
  .map(({ log, watermarks, cells }) => ({
    log,
    watermarks,
    cells: cells.flatMap(({ key, low, width, shows }) => {
      const high = Math.min(LOG, low + width)
      if (!isLive(log, key, low, watermarks[key % PARTITIONS]!)) return []
      // Between the label's ends a commit may be in the value or not, in whatever order they became visible.
      const value = new Set(commitsTo(log, key).filter((l) => l < low || (l < high && (shows >> (l % 8)) & 1)))
      return [{ key, label: [low, high] as const, value }]
    }),
  }))

const intervalsOf = ({ cells, watermarks }: World) =>
  cells.map(({ key, label: [low, high] }) => exactInterval(label(low, high), view(watermarks[key % PARTITIONS]!)))

const tally = { chosen: 0, all: 0, held: 0 }

test('for every history: what is kept equals the database at every position that is said, and none keeps more', () => {
  fc.assert(
    fc.property(worlds, (world) => {
      const intervals = intervalsOf(world)
      const contains = (p: number) => intervals.filter((i) => i && i.low <= at(p) && at(p) <= i.high).length
      const most = Math.max(...Array.from({ length: LOG + 1 }, (_, p) => contains(p)))
      const choice = choosePoint(intervals)
      expect(choice?.kept.length ?? 0).toBe(most)
      if (choice === null) return
      tally.chosen++
      if (choice.kept.length === world.cells.length && world.cells.length > 2) tally.all++
      const { low, high } = choice.shared
      const said = Array.from({ length: LOG + 1 }, (_, p) => p).filter((p) => low <= at(p) && at(p) <= high)
      expect(said.length).toBeGreaterThan(0)
      for (const p of said) {
        for (const i of choice.kept) expect(world.cells[i]!.value).toEqual(held(world.log, world.cells[i]!.key, p))
      }
    }),
    { numRuns: 3_000 },
  )
  // A choice that keeps nothing would pass otherwise.
  expect(tally.chosen).toBeGreaterThan(1_000)
  expect(tally.all).toBeGreaterThan(20)
})

test('for every history: what is kept beside a load equals what the load’s transaction would have read', () => {
  const loads = fc.record({ low: fc.nat(LOG), width: fc.nat(3), shows: fc.nat(0xff) })
  fc.assert(
    fc.property(worlds, loads, ({ log, cells, watermarks }, { low, width, shows }) => {
      const high = Math.min(LOG, low + width)
      const isVisible = (lsn: number) => lsn < low || (lsn < high && ((shows >> (lsn % 8)) & 1) === 1)
      for (const cell of cells) {
        const kept = label(...cell.label)
        if (holdsOver(kept, view(watermarks[cell.key % PARTITIONS]!), label(low, high)) !== 'now') continue
        tally.held++
        expect(cell.value).toEqual(new Set(commitsTo(log, cell.key).filter(isVisible)))
      }
    }),
    { numRuns: 3_000 },
  )
  expect(tally.held).toBeGreaterThan(300)
})

interface AgedCell {
  readonly key: number
  readonly low: number
  readonly width: number
  readonly shows: number
  readonly isOld: boolean
}

interface AgedWorld {
  readonly log: World['log']
  readonly watermarks: readonly number[]
  /** When all keys were emptied at once. */
  readonly truncatedAt: number | null
  /** What a session saw. */
  readonly seen: number | null
  readonly cells: readonly AgedCell[]
}

/** Cells of any state, under views of any age. */
const agedWorlds: fc.Arbitrary<AgedWorld> = fc.record({
  log: logs,
  watermarks: fc.array(fc.integer({ min: LOG >> 1, max: LOG }), { minLength: PARTITIONS, maxLength: PARTITIONS }),
  truncatedAt: fc.option(fc.nat(LOG - 1), { freq: 2 }),
  seen: fc.option(fc.nat(LOG), { freq: 2 }),
  cells: fc.array(
    fc.record({ key: fc.nat(KEYS - 1), low: fc.nat(LOG), width: fc.nat(3), shows: fc.nat(0xff), isOld: fc.boolean() }),
    { minLength: 1, maxLength: 3 },
  ),
})

const withTruncate = ({ log, truncatedAt }: AgedWorld): World['log'] =>
  log.map((keys, lsn) => (lsn === truncatedAt ? [...Array(KEYS).keys()] : keys))

/** As a snapshot judges it: the floor drops no cell, and a change of its row does. */
function judgedIn(world: AgedWorld, { key, low, width, shows, isOld }: AgedCell) {
  const { log, truncatedAt, seen } = world
  const watermark = world.watermarks[key % PARTITIONS]!
  const of = label(low, Math.min(LOG, low + width))
  const floors: Record<string, Position> = {}
  if (truncatedAt !== null && truncatedAt < watermark) floors['*'] = at(truncatedAt + 1)
  const known = { ...view(watermark), beat: isOld ? 0 : 1_000, floors }
  const state = isLive(log, key, low, watermark) ? 'live' : 'stale'
  const demand = seen === null ? null : { own: at(0), seen: at(seen) }
  const terms = { keyspace: 'all', contract: { maxStalenessMs: 1 }, clockSkewMs: 0, demand }
  const verdict = judge(known, { state, label: of, loadedAt: null }, terms, 1_000)
  const doubt = verdict.fresh ? null : verdict.doubt
  const isShown = (l: number) => l < low || (l < low + width && ((shows >> (l % 8)) & 1) === 1)
  const value = new Set(commitsTo(withTruncate(world), key).filter(isShown))
  return { key, value, doubt, exact: isOfAnInstant(doubt) ? exactInterval(of, known) : null }
}

test('for every history: cells that are served as of an older instant equal the database at every position that is said', () => {
  const served = { aged: 0, together: 0 }
  const doubts = new Set<string | null>()
  fc.assert(
    fc.property(agedWorlds, (world) => {
      const judged = world.cells.map((cell) => judgedIn(world, cell))
      for (const { doubt } of judged) doubts.add(doubt)
      const shared = sharedByAll(judged.map(({ exact }) => exact))
      if (shared === null) return
      if (judged.some(({ doubt }) => doubt === 'too-old')) served.aged++
      if (new Set(judged.map(({ key }) => key)).size > 1) served.together++
      for (let p = 0; p <= LOG; p++) {
        if (at(p) < shared.low || at(p) > shared.high) continue
        for (const { key, value } of judged) expect(value).toEqual(held(withTruncate(world), key, p))
      }
      expect(world.seen === null || shared.high >= at(world.seen)).toBe(true)
    }),
    { numRuns: 3_000 },
  )
  expect(served.aged).toBeGreaterThan(100)
  expect(served.together).toBeGreaterThan(10)
  expect([...doubts].sort()).toEqual(['behind-session', 'floor', null, 'retained', 'too-old'])
})

describe('where a value is exact', () => {
  test('begins at the label’s end and ends at the watermark, or at the label’s beginning where that is further', () => {
    expect(exactInterval(label(10, 20), view(30))).toEqual({ low: at(20), high: at(30) })
    expect(exactInterval(label(20, 20), view(10))).toEqual({ low: at(20), high: at(20) })
  })

  test('is nowhere until the watermark has reached the label’s end', () => {
    expect(exactInterval(label(10, 20), view(19))).toBeNull()
    expect(exactInterval(label(10, 20), view(20))).toEqual({ low: at(20), high: at(20) })
  })
})

describe('of several points that are as good', () => {
  test('the latest is chosen, and all that is shared is said', () => {
    const intervals = [exactInterval(label(1, 1), view(5)), exactInterval(label(6, 7), view(9)), null]
    expect(choosePoint(intervals)).toEqual({ shared: { low: at(7), high: at(9) }, kept: [1] })
  })

  test('there is none without an interval', () => {
    expect(choosePoint([])).toBeNull()
    expect(choosePoint([null, null])).toBeNull()
  })
})

describe('beside a load', () => {
  test.each([
    ['exact over all of it', label(10, 20), 40, 'now'],
    ['which the watermark has not reached the end of', label(10, 20), 39, 'later'],
    ['that may lack what the value holds', label(10, 31), 99, 'never'],
  ] as const)('a value is %s', (_, kept, watermark, answer) => {
    expect(holdsOver(kept, view(watermark), label(30, 40))).toBe(answer)
  })
})
