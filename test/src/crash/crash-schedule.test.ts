import { expect, test } from '@jest/globals'
import { randomOf } from '../seeded-random.ts'
import { CRASH_POINTS, decodeCrash, encodeCrash, OPENING } from './crash-points.ts'
import { FULL_DECK, schedulesOf } from './crash-schedule.ts'

const ALL = Object.keys(CRASH_POINTS)

test('the same seed gives the same schedules, another one others', () => {
  expect(schedulesOf(randomOf(7), 20)).toEqual(schedulesOf(randomOf(7), 20))
  expect(schedulesOf(randomOf(7), 20)).not.toEqual(schedulesOf(randomOf(8), 20))
})

test('a full deck of schedules passes every crash point, whatever the seed', () => {
  for (let seed = 0; seed < 200; seed++) {
    const points = schedulesOf(randomOf(seed), FULL_DECK).flatMap((schedule) => schedule.map(({ point }) => point))
    expect([...new Set(points)].sort()).toEqual([...ALL].sort())
  }
})

test('no life is told to crash where the opening has already been', () => {
  for (const schedule of schedulesOf(randomOf(1), 500)) {
    const last = schedule.findLastIndex(({ point }) => OPENING.some((opening) => opening === point))
    const done = schedule.findIndex(({ point }) => point === 'after the epoch’s start')
    expect(last).toBeLessThan(2)
    if (done >= 0) expect(last).toBe(done)
  }
})

test('a crash that names no point is refused', () => {
  expect(decodeCrash(encodeCrash({ point: 'after receipt', hit: 3 }))).toEqual({ point: 'after receipt', hit: 3 })
  expect(() => decodeCrash('{"point":"nowhere","hit":1}')).toThrow('no crash point')
  expect(() => decodeCrash('{"point":"after receipt","hit":0}')).toThrow('no number of times')
})
