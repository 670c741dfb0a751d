import { expect, test } from '@jest/globals'
import { Beats } from './beat.ts'
import { GuardModel } from './testing/guard-model.ts'

/** Two clocks that do not agree, as they never do. */
class TestClocks {
  nowMs = 0
  readonly monotonicMs = () => this.nowMs
  readonly wallMs = () => 1_000_000 + this.nowMs
}

function held(...partitions: readonly number[]) {
  const clocks = new TestClocks()
  const beats = new Beats(clocks)
  beats.assign(partitions)
  return { clocks, beats }
}

test('a worker without partitions knows of no beat', () => {
  expect(new Beats().now()).toEqual([])
})

test('a newly assigned partition is given its time, one that stays keeps its age, one that goes is forgotten', () => {
  const { clocks, beats } = held(0, 1)
  clocks.nowMs = 600
  beats.assign([2, 1])
  clocks.nowMs = 1_100
  expect(beats.now().map(({ partition, silentMs }) => [partition, silentMs])).toEqual([
    [1, 1_100],
    [2, 500],
  ])
})

test('a beat ends the silence; the view is as old as the time that the beat speaks of', () => {
  const { clocks, beats } = held(0)
  clocks.nowMs = 5_000
  beats.applied(0, 1_002_000)
  beats.applied(7, 1_002_000)
  clocks.nowMs = 6_500
  expect(beats.now()).toEqual([{ partition: 0, silentMs: 1_500, viewAgeMs: 4_500, inGap: false }])
})

test('I6: an older beat makes the view no older', () => {
  const { beats } = held(0)
  beats.applied(0, 999_000)
  beats.applied(0, 998_000)
  expect(beats.now()[0]!.viewAgeMs).toBe(1_000)
})

test('a primary whose clock is ahead makes no view of the future', () => {
  const { beats } = held(0)
  beats.applied(0, 2_000_000)
  expect(beats.now()[0]!.viewAgeMs).toBe(0)
})

test('before any beat the age of the view is what Redis holds, and unknown when it holds none', async () => {
  const { beats } = held(0, 1)
  const view = (await GuardModel.at(5n).view())!
  beats.stands(0, { ...view, beat: 999_000, gap: 'offset-gone' })
  beats.stands(1, null)
  expect(beats.now()).toEqual([
    { partition: 0, silentMs: 0, viewAgeMs: 1_000, inGap: true },
    { partition: 1, silentMs: 0, viewAgeMs: undefined, inGap: false },
  ])
})

test('a Redis that went back makes the view older; that is no sign of life', async () => {
  const { clocks, beats } = held(0)
  beats.applied(0, 1_000_000)
  clocks.nowMs = 100
  beats.stands(0, { ...(await GuardModel.at(5n).view())!, beat: 990_000 })
  expect(beats.now()[0]).toMatchObject({ silentMs: 100, viewAgeMs: 10_100 })
})

test('a gap is open until the next beat', async () => {
  const { beats } = held(0)
  beats.stands(0, (await GuardModel.inGap(5n).view())!)
  expect(beats.now()[0]!.inGap).toBe(true)
  beats.applied(0, 1_000_000)
  expect(beats.now()[0]!.inGap).toBe(false)
})
