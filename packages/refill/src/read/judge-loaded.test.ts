import { describe, expect, test } from '@jest/globals'
import type { Demand, Terms, View } from '@tidemark/guard'
import { ORIGIN, position, version } from '@tidemark/protocol'
import fc from 'fast-check'
import type { Loaded } from '../sources/labelled-load.ts'
import type { Standing } from '../sources/standing.ts'
import { judgeJoined, judgeLoaded } from './judge-loaded.ts'

const NOW = 1_700_000_000_000
const at = (lsn: number, epoch = 1) => position(epoch, BigInt(lsn))

const VIEW: View = {
  epoch: '00000001',
  watermark: at(500),
  newest: version(1, 400n),
  horizon: at(100),
  floors: { product: at(300) },
  offset: '0'.repeat(16),
  beat: NOW - 100,
  current: 0,
  generations: {},
}
const TERMS: Terms = { keyspace: 'product', contract: { maxStalenessMs: 1_000 }, clockSkewMs: 50, demand: null }

const STANDING: Standing = {
  role: 'primary',
  epoch: 1,
  systemIdentifier: '7',
  announced: true,
  position: at(900),
  version: 180_000,
  server: 'one',
  reach: at(900),
}
const PRIMARY: Loaded<unknown> = {
  value: 1,
  label: { low: at(500), high: at(900) },
  loadedAt: NOW,
  standing: STANDING,
}
const REPLICA: Loaded<unknown> = {
  value: 1,
  label: { low: at(600), high: at(900) },
  loadedAt: null,
  standing: { ...STANDING, role: 'replica' },
}
const UNLABELLED: Loaded<unknown> = { ...PRIMARY, label: null }

const judged = (
  loaded: Loaded<unknown>,
  { view = VIEW as View | null, demand = null as Demand | null, announcedEpoch = 0 } = {},
) => judgeLoaded(view, loaded, { ...TERMS, demand, announcedEpoch }, NOW)

const doubts = (doubt: string) => ({ fresh: false, doubt })
const standingOf = (loaded: Loaded<unknown>, standing: Partial<Standing>): Loaded<unknown> => ({
  ...loaded,
  standing: { ...STANDING, ...standing },
})

describe('a labelled load', () => {
  test('is fresh at its label or the watermark, whichever is further', () => {
    expect(judged(REPLICA)).toEqual({ fresh: true, position: at(600) })
    expect(judged({ ...PRIMARY, label: { low: at(450), high: at(900) } })).toEqual({ fresh: true, position: at(500) })
  })

  test('I7 below the floor, or under a view that trusts nothing, is not fresh', () => {
    expect(judged({ ...PRIMARY, label: { low: at(299), high: at(900) } })).toEqual(doubts('floor'))
    expect(judged(PRIMARY, { view: null })).toEqual(doubts('no-view'))
    expect(judged(PRIMARY, { view: { ...VIEW, gap: 'offset gone' } })).toEqual(doubts('gap'))
  })

  test('I7 from a replica is as old as the view’s beat; from the primary as old as its load', () => {
    const stalled = { view: { ...VIEW, beat: NOW - 951 } }
    expect(judged(REPLICA, stalled)).toEqual(doubts('too-old'))
    expect(judged(REPLICA, { view: { ...VIEW, beat: NOW - 950 } })).toMatchObject({ fresh: true })
    expect(judged(PRIMARY, stalled)).toMatchObject({ fresh: true })
    expect(judged({ ...PRIMARY, loadedAt: NOW - 951 }, stalled)).toEqual(doubts('too-old'))
  })
})

describe('of a session', () => {
  const own = (lsn: number, epoch = 1) => ({ demand: { own: at(lsn, epoch), seen: ORIGIN } })
  const seen = (lsn: number, epoch = 1) => ({ demand: { own: ORIGIN, seen: at(lsn, epoch) } })

  test('the primary satisfies `own` by itself, labelled or not', () => {
    expect(judged(PRIMARY, own(800))).toMatchObject({ fresh: true })
    expect(judged(UNLABELLED, own(800))).toEqual({ fresh: true, position: null })
    expect(judged(UNLABELLED, { view: null, ...own(800) })).toEqual({ fresh: true, position: null })
  })

  test('an abandoned primary, of an epoch older than the write, does not', () => {
    expect(judged(PRIMARY, own(800, 2))).toEqual(doubts('behind-session'))
    expect(judged(UNLABELLED, own(800, 2))).toEqual(doubts('behind-session'))
    expect(judged(UNLABELLED, { view: null, ...own(800, 2) })).toEqual(doubts('behind-session'))
  })

  test('a replica satisfies `own` by its label only', () => {
    expect(judged(REPLICA, own(600))).toMatchObject({ fresh: true })
    expect(judged(REPLICA, own(601))).toEqual(doubts('behind-session'))
  })

  test('`seen` is satisfied by label or watermark, by the primary too: a replica may show more than it does', () => {
    expect(judged(PRIMARY, seen(500))).toMatchObject({ fresh: true })
    expect(judged(PRIMARY, seen(501))).toEqual(doubts('behind-session'))
    expect(judged(REPLICA, seen(600))).toMatchObject({ fresh: true })
    expect(judged(REPLICA, seen(601))).toEqual(doubts('behind-session'))
    expect(judged(UNLABELLED, seen(1))).toEqual(doubts('behind-session'))
  })

  test('a position of an older epoch satisfies nothing, and neither does a smaller LSN of a newer one', () => {
    expect(judged(REPLICA, seen(400, 2))).toEqual(doubts('behind-session'))
    const next: View = { ...VIEW, epoch: '00000002', watermark: at(450, 2), floors: {} }
    const label = { low: at(450, 2), high: at(900, 2) }
    expect(judged({ ...REPLICA, label }, { view: next, ...seen(500) })).toEqual(doubts('behind-session'))
    expect(judged({ ...REPLICA, label }, { view: next, ...seen(450) })).toMatchObject({ fresh: true })
  })
})

describe('an unlabelled load', () => {
  test('is believed from an announced primary of an epoch not older than the view’s, at no known position', () => {
    expect(judged(UNLABELLED)).toEqual({ fresh: true, position: null })
    expect(judged(UNLABELLED, { view: null })).toEqual({ fresh: true, position: null })
    expect(judged(standingOf(UNLABELLED, { epoch: 2 }))).toEqual({ fresh: true, position: null })
  })

  test.each([
    ['a server that says nothing of itself', { ...UNLABELLED, standing: null }],
    ['a replica', standingOf(UNLABELLED, { role: 'replica' })],
    ['a server that was promoted and not announced', standingOf(UNLABELLED, { announced: false })],
    ['a primary that the view’s epoch has abandoned', standingOf(UNLABELLED, { epoch: 0 })],
  ])('of %s is not', (_, loaded) => expect(judged(loaded)).toEqual(doubts('unannounced')))

  test('of a primary that the region has abandoned is not, when the view that said so is gone or has a gap', () => {
    const emptied: View = { ...VIEW, epoch: '00000000', gap: 'view-missing' }
    for (const view of [null, emptied]) {
      expect(judged(UNLABELLED, { view, announcedEpoch: 2 })).toEqual(doubts('unannounced'))
      const promoted = standingOf(UNLABELLED, { epoch: 2 })
      expect(judged(promoted, { view, announcedEpoch: 2 })).toEqual({ fresh: true, position: null })
    }
  })

  test('I7 that took longer than the contract’s bound on age is too old', () => {
    expect(judged({ ...UNLABELLED, loadedAt: NOW - 1_000 })).toMatchObject({ fresh: true })
    expect(judged({ ...UNLABELLED, loadedAt: NOW - 1_001 })).toEqual(doubts('too-old'))
    expect(judged({ ...UNLABELLED, loadedAt: NOW - 1_001 }, { view: null })).toEqual(doubts('too-old'))
  })
})

describe('what another reader’s flight brought', () => {
  const joined = (loaded: Loaded<unknown>, { demand = null as Demand | null, announcedEpoch = 0 } = {}) =>
    judgeJoined(VIEW, loaded, { ...TERMS, demand, announcedEpoch }, NOW)

  test('is fresh by its label for who asks nothing more', () => {
    expect(joined(PRIMARY)).toEqual({ fresh: true, position: at(500) })
    expect(joined(REPLICA)).toEqual({ fresh: true, position: at(600) })
  })

  test('I7 may lack what a session wrote, be it from the primary itself: the load may have begun before', () => {
    const demand = { own: at(550), seen: ORIGIN }
    expect(judged(PRIMARY, { demand })).toMatchObject({ fresh: true })
    expect(joined(PRIMARY, { demand })).toEqual(doubts('behind-session'))
    expect(joined(REPLICA, { demand })).toMatchObject({ fresh: true })
  })

  test('I7 without a label is nothing that a session can be shown, whatever it asks', () => {
    expect(joined(UNLABELLED)).toEqual({ fresh: true, position: null })
    expect(joined(UNLABELLED, { demand: { own: at(1), seen: ORIGIN } })).toEqual(doubts('behind-session'))
  })

  test('I7 is not believed by who has met a newer epoch', () => {
    expect(joined(PRIMARY, { announcedEpoch: 2 })).toEqual(doubts('unannounced'))
    expect(joined(REPLICA, { announcedEpoch: 2 })).toEqual(doubts('unannounced'))
    expect(joined({ ...REPLICA, standing: null })).toEqual(doubts('unannounced'))
  })
})

// Of three epochs, in which positions are as often ahead of each other as behind.
const anyAt = fc.tuple(fc.nat(9), fc.nat(2)).map(([tens, epoch]) => at(tens * 10, epoch))
const anyLoad = fc
  .record({
    ends: fc.tuple(anyAt, anyAt),
    isLabelled: fc.boolean(),
    isPrimary: fc.boolean(),
    epoch: fc.nat(2),
    age: fc.nat(2_000),
  })
  .map(({ ends, isLabelled, isPrimary, epoch, age }): Loaded<unknown> => {
    const [low, high] = ends.sort()
    const standing = { ...STANDING, role: isPrimary ? 'primary' : 'replica', epoch } as const
    return {
      value: 1,
      label: isLabelled ? { low: low!, high: high! } : null,
      loadedAt: isPrimary ? NOW - age : null,
      standing,
    }
  })
const anyCase = fc.record({
  loaded: anyLoad,
  view: fc.option(fc.record({ watermark: anyAt, beat: fc.integer({ min: NOW - 2_000, max: NOW }) }), { freq: 9 }),
  demand: fc.option(fc.record({ own: anyAt, seen: anyAt })),
  announcedEpoch: fc.nat(2),
})

test('I7 for every load, view, session and epoch: who joined a flight is shown nothing that who began it would not be', () => {
  const shown = { began: 0, joined: 0 }
  fc.assert(
    fc.property(anyCase, ({ loaded, view, demand, announcedEpoch }) => {
      const terms = { ...TERMS, demand, announcedEpoch }
      const known = view && { ...VIEW, floors: {}, ...view }
      const [began, joined] = [judgeLoaded, judgeJoined].map((judge) => judge(known, loaded, terms, NOW))
      if (began!.fresh) shown.began++
      if (!joined!.fresh) return
      shown.joined++
      expect(joined).toEqual(began)
      expect(loaded.standing!.epoch).toBeGreaterThanOrEqual(announcedEpoch)
    }),
    { numRuns: 3_000 },
  )
  expect(shown.joined).toBeGreaterThan(100)
  expect(shown.began).toBeGreaterThan(shown.joined)
})
