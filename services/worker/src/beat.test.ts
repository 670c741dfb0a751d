import { expect, test } from '@jest/globals'
import { Beats, stalled } from './beat.ts'

test('partitions whose last beat is older than the limit are stalled, and the worst one gives the age', () => {
  const beats = new Map([
    [2, 1_000],
    [0, 4_000],
    [1, 9_000],
  ])
  expect(stalled(beats, 10_000, 5_000)).toEqual({ partitions: [0, 2], ageMs: 9_000 })
})

test('a beat exactly as old as the limit is not stalled', () => {
  expect(stalled(new Map([[0, 5_000]]), 10_000, 5_000)).toBeNull()
})

test('a worker without partitions is not stalled, and its age is unknown, not zero', () => {
  expect(new Beats().stalled(1)).toBeNull()
  expect(new Beats().worstAgeMs).toBeUndefined()
})

function beatsAt(clock: { ms: number }): Beats {
  return new Beats(() => clock.ms)
}

test('a newly assigned partition is given its time, one that stays keeps its age, one that goes is forgotten', () => {
  const clock = { ms: 0 }
  const beats = beatsAt(clock)
  beats.assign([0, 1])
  clock.ms = 600
  beats.assign([1, 2])
  clock.ms = 1_100
  expect(beats.stalled(1_000)).toEqual({ partitions: [1], ageMs: 1_100 })
})

test('a beat makes a partition young again, and one of a partition that was taken away does not count', () => {
  const clock = { ms: 0 }
  const beats = beatsAt(clock)
  beats.assign([0])
  clock.ms = 5_000
  beats.applied(0)
  beats.applied(7)
  expect(beats.worstAgeMs).toBe(0)
  clock.ms = 6_500
  expect(beats.stalled(1_000)).toEqual({ partitions: [0], ageMs: 1_500 })
})
