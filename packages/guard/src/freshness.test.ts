import { describe, expect, test } from '@jest/globals'
import { after, covers, maxPosition, ORIGIN, type Position, position, type Version, version } from '@tidemark/protocol'
import fc from 'fast-check'
import type { Cell } from './cell.ts'
import { type Demand, judge, type Terms } from './freshness.ts'
import type { View } from './view.ts'

const NOW = 1_700_000_000_000
const at = (lsn: number, epoch = 1) => position(epoch, BigInt(lsn))

const VIEW: View = {
  epoch: '00000001',
  watermark: at(200),
  newest: version(1, 190n),
  horizon: at(50),
  floors: { '*': at(50) },
  offset: '0000000000000001',
  beat: NOW - 1_000,
  current: 0,
  generations: {},
}
const CELL: Cell = { state: 'live', label: { low: at(100), high: at(120) }, loadedAt: null, payload: Buffer.alloc(0) }
const TERMS: Terms = { keyspace: 'product', contract: { maxStalenessMs: 5_000 }, clockSkewMs: 100, demand: null }
const demand = (own: Position, seen: Position = ORIGIN): Demand => ({ own, seen })

describe('a value is', () => {
  interface Case {
    readonly name: string
    readonly view?: Partial<View>
    readonly cell?: Partial<Cell>
    readonly terms?: Partial<Terms>
    readonly doubt: string | undefined
  }
  const cases: readonly Case[] = [
    { name: 'fresh when nothing speaks against it', doubt: undefined },
    { name: 'in doubt in a gap', view: { gap: 'offset gone' }, doubt: 'gap' },
    { name: 'in doubt in a gap without a cause', view: { gap: '' }, doubt: 'gap' },
    { name: 'in doubt when it was retained, however new', cell: { state: 'stale' }, doubt: 'retained' },
    { name: 'in doubt below the floor of all', view: { floors: { '*': at(101) } }, doubt: 'floor' },
    { name: 'in doubt below the floor of its keyspace', view: { floors: { product: at(101) } }, doubt: 'floor' },
    { name: 'fresh at its floor', view: { floors: { product: at(100) } }, doubt: undefined },
    { name: 'fresh below another keyspace’s floor', view: { floors: { other: at(101) } }, doubt: undefined },
    { name: 'in doubt below a floor of the next epoch', view: { floors: { '*': at(10, 2) } }, doubt: 'floor' },
    { name: 'fresh to a session that W satisfies', terms: { demand: demand(at(200)) }, doubt: undefined },
    { name: 'in doubt to a session that wrote since', terms: { demand: demand(at(201)) }, doubt: 'behind-session' },
    {
      name: 'in doubt to a session that saw newer',
      terms: { demand: demand(ORIGIN, at(201)) },
      doubt: 'behind-session',
    },
    {
      name: 'fresh to a session that L alone satisfies',
      view: { watermark: at(60) },
      terms: { demand: demand(at(100)) },
      doubt: undefined,
    },
    {
      name: 'in doubt to a write just before an epoch that started below it',
      view: { watermark: at(150, 2), floors: {} },
      terms: { demand: demand(at(180)) },
      doubt: 'behind-session',
    },
    {
      name: 'fresh to a write of an epoch before, once this one is past it',
      view: { watermark: at(180, 2), floors: {} },
      terms: { demand: demand(at(180)) },
      doubt: undefined,
    },
    {
      name: 'in doubt to a write of a newer epoch, however low',
      terms: { demand: demand(at(1, 2)) },
      doubt: 'behind-session',
    },
    { name: 'fresh at the age that is allowed', view: { beat: NOW - 4_900 }, doubt: undefined },
    { name: 'in doubt a millisecond older, skew included', view: { beat: NOW - 4_901 }, doubt: 'too-old' },
    {
      name: 'fresh under an old beat when the primary gave it just now',
      view: { beat: NOW - 60_000 },
      cell: { loadedAt: NOW - 10 },
      doubt: undefined,
    },
    {
      name: 'in doubt under an old beat when a replica gave it',
      view: { beat: NOW - 60_000 },
      doubt: 'too-old',
    },
  ]
  test.each(cases)('$name', ({ view, cell, terms, doubt }) => {
    const verdict = judge({ ...VIEW, ...view }, { ...CELL, ...cell }, { ...TERMS, ...terms }, NOW)
    expect(verdict.fresh ? undefined : verdict.doubt).toBe(doubt)
  })

  test('in doubt without a view, and absent without a cell', () => {
    expect(judge(null, CELL, TERMS, NOW)).toEqual({ fresh: false, doubt: 'no-view' })
    expect(judge(VIEW, null, TERMS, NOW)).toEqual({ fresh: false, doubt: 'absent' })
  })

  test('as young as the skew, and no younger, when a beat comes from a clock that is ahead', () => {
    const verdict = judge({ ...VIEW, beat: NOW + 5_000 }, CELL, TERMS, NOW)
    expect(verdict).toEqual({ fresh: true, position: at(200), ageMs: 100 })
  })
})

/**
 * A key's history in one region: commits of several epochs, a value that holds the first few of them under a true
 * label, and how far the region has come. The guard is played by its rule alone (protocol 5.1), so that a cell is only
 * live where the guard would have left it.
 */
interface History {
  readonly commits: readonly Version[]
  /** How many of the commits the value reflects. */
  readonly held: number
  readonly view: View
  readonly cell: Cell
}

const LAST_LSN = 60n
const anyPosition = fc
  .tuple(fc.integer({ min: 1, max: 3 }), fc.bigInt(0n, LAST_LSN))
  .map(([epoch, lsn]) => position(epoch, lsn))
const anyVersion = anyPosition as fc.Arbitrary<string> as fc.Arbitrary<Version>

const histories: fc.Arbitrary<History> = fc
  .record({
    commits: fc.uniqueArray(anyVersion, { maxLength: 8 }).map((versions) => versions.sort()),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    lowOffer: anyPosition,
    lowest: fc.boolean(),
    highOffer: anyPosition,
    watermark: anyPosition,
    lost: fc.option(anyPosition, { freq: 3 }),
    loadedAt: fc.option(fc.integer({ min: NOW - 10_000, max: NOW })),
    beat: fc.integer({ min: NOW - 10_000, max: NOW + 1_000 }),
  })
  .map(({ commits, share, lowOffer, lowest, highOffer, watermark, lost, loadedAt, beat }) => {
    const held = Math.round(share * commits.length)
    const low = trueLow(commits, held, lowOffer, lowest)
    const high = maxPosition(low, highOffer, held > 0 ? after(commits[held - 1]!) : ORIGIN)
    // Invalidations below `lost` may never have come: the region knows it by a floor there.
    const floors: Record<string, Position> = lost === null ? {} : { '*': lost }
    const applied = commits.filter((v) => covers(watermark, v) && (lost === null || !covers(lost, v)))
    const guarded = applied.every((v) => covers(low, v))
    const cell: Cell = { state: guarded ? 'live' : 'stale', label: { low, high }, loadedAt, payload: Buffer.alloc(0) }
    const newest = applied.at(-1) ?? (ORIGIN as string as Version)
    return { commits, held, cell, view: { ...VIEW, watermark, floors, newest, beat } }
  })

/** A low that covers no commit which the value lacks: the highest there is, or any below it. */
function trueLow(commits: readonly Version[], held: number, offer: Position, lowest: boolean): Position {
  const lacking = commits[held]
  const highest = lacking === undefined ? at(Number(LAST_LSN) + 1, 3) : (lacking as string as Position)
  return lowest && offer < highest ? offer : highest
}

describe('I7: whatever the history', () => {
  test('the commits of a history come in order, and a label is true (I1)', () => {
    fc.assert(
      fc.property(histories, ({ commits, held, cell }) => {
        const { low, high } = cell.label
        expect(commits.slice(held).some((v) => covers(low, v))).toBe(false)
        expect(commits.slice(0, held).every((v) => covers(high, v))).toBe(true)
        expect(low <= high).toBe(true)
      }),
    )
  })

  test('what is called fresh reflects every commit that max(L, W) covers', () => {
    let fresh = 0
    fc.assert(
      fc.property(histories, ({ commits, held, view, cell }) => {
        const verdict = judge(view, cell, { ...TERMS, contract: { maxStalenessMs: 20_000 } }, NOW)
        if (!verdict.fresh) return
        fresh += 1
        expect(verdict.position).toBe(cell.label.low > view.watermark ? cell.label.low : view.watermark)
        expect(commits.slice(held).filter((v) => covers(verdict.position, v))).toEqual([])
      }),
      { numRuns: 4_000 },
    )
    expect(fresh).toBeGreaterThan(200)
  })

  test('a session finds what it wrote and saw, in every epoch, and is refused only when it might not', () => {
    let fresh = 0
    fc.assert(
      fc.property(histories, anyPosition, anyPosition, ({ view, cell }, own, seen) => {
        const terms = { ...TERMS, contract: { maxStalenessMs: 20_000 } }
        const alone = judge(view, cell, terms, NOW)
        const verdict = judge(view, cell, { ...terms, demand: { own, seen } }, NOW)
        if (!alone.fresh) {
          expect(verdict).toEqual(alone)
          return
        }
        const [epoch, lsn] = parts(alone.position)
        const reached = [own, seen].map(parts).every(([e, l]) => epoch >= e && lsn >= l)
        expect(verdict).toEqual(reached ? alone : { fresh: false, doubt: 'behind-session' })
        fresh += verdict.fresh ? 1 : 0
      }),
      { numRuns: 4_000 },
    )
    expect(fresh).toBeGreaterThan(10)
  })

  test('a session’s own write is in what it is given', () => {
    let fresh = 0
    fc.assert(
      fc.property(histories, fc.nat(7), ({ commits, held, view, cell }, which) => {
        const written = commits[which]
        if (written === undefined) return
        const terms = { ...TERMS, contract: { maxStalenessMs: 20_000 }, demand: demand(after(written)) }
        if (!judge(view, cell, terms, NOW).fresh) return
        expect(held).toBeGreaterThan(which)
        fresh += 1
      }),
      { numRuns: 4_000 },
    )
    expect(fresh).toBeGreaterThan(10)
  })

  test('nothing older than the contract allows is called fresh, by the newer of beat and load', () => {
    let tooOld = 0
    fc.assert(
      fc.property(histories, fc.nat(10_000), fc.nat(1_000), ({ view, cell }, maxStalenessMs, clockSkewMs) => {
        const terms = { ...TERMS, contract: { maxStalenessMs }, clockSkewMs }
        const verdict = judge(view, cell, terms, NOW)
        const current = cell.loadedAt !== null && cell.loadedAt > view.beat ? cell.loadedAt : view.beat
        const ageMs = Math.max(NOW - current, 0) + clockSkewMs
        if (verdict.fresh) expect(verdict.ageMs).toBe(ageMs)
        expect(verdict.fresh && ageMs > maxStalenessMs).toBe(false)
        if (verdict.fresh || verdict.doubt !== 'too-old') return
        expect(ageMs).toBeGreaterThan(maxStalenessMs)
        tooOld += 1
      }),
      { numRuns: 3_000 },
    )
    expect(tooOld).toBeGreaterThan(10)
  })
})

function parts(p: Position): [number, bigint] {
  return [Number.parseInt(p.slice(0, 8), 16), BigInt(`0x${p.slice(8)}`)]
}
