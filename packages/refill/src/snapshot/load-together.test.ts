import { expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import { ORIGIN, position, version } from '@tidemark/protocol'
import { needOf } from './load-together.ts'
import type { SeenMember } from './member.ts'

const at = (lsn: number) => position(1, BigInt(lsn))

/** As far as a load's need goes. */
function seen(watermark: number, demand: Demand | null, given: { high?: number; gap?: string; newest?: number } = {}) {
  const { high = 0, gap, newest = 0 } = given
  const view = { watermark: at(watermark), newest: version(1, BigInt(newest)), floors: {}, ...(gap && { gap }) }
  const cell = { label: { low: ORIGIN, high: at(high) } }
  const sight = { view, cell, bounds: { required: ORIGIN, granted: ORIGIN } }
  const reference = { scope: { keyspace: { name: 'product' } } }
  return { reference, sight, inquiry: { terms: { demand } } } as unknown as SeenMember
}

test('a load must cover what any contract does not waive of the session, of what is kept, too', () => {
  const [own, seenBefore] = [
    { own: at(30), seen: ORIGIN },
    { own: ORIGIN, seen: at(40) },
  ]
  expect(needOf([seen(1, null)], [], ORIGIN)!.demand).toBeNull()
  expect(needOf([seen(1, null), seen(1, own)], [seen(1, seenBefore)], ORIGIN)!.demand).toEqual({
    own: at(30),
    seen: at(40),
  })
})

test('and all that any view has been told of, what is kept, and what loads have taught; the primary shows no more than that', () => {
  const need = needOf([seen(10, null, { newest: 17 })], [seen(12, null, { high: 25 })], ORIGIN)!
  expect([need.granted, need.required]).toEqual([at(18), at(25)])
  expect(needOf([seen(10, null)], [], at(20))!.granted).toBe(at(20))
})

test('without a view of some partition, or with a gap in it, there is nothing to label by', () => {
  const blind = { ...seen(1, null), sight: { view: null } } as unknown as SeenMember
  expect(needOf([seen(1, null), blind], [], ORIGIN)).toBeNull()
  expect(needOf([seen(1, null)], [seen(1, null, { gap: 'lost' })], ORIGIN)).toBeNull()
})
