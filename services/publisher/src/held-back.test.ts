import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import { HeldBack } from './held-back.ts'

function watched() {
  const lines: { level: number; xid: number; ageMs: number }[] = []
  return {
    lines,
    heldBack: new HeldBack(pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line)) })),
  }
}

test('looks again quickly at first and never more slowly than every 50 ms', () => {
  const { heldBack } = watched()
  expect(Array.from({ length: 9 }, () => heldBack.still(7, 0))).toEqual([1, 2, 4, 8, 16, 32, 50, 50, 50])
  heldBack.passed()
  expect(heldBack.still(8, 0)).toBe(1)
})

test('says so with xid and age, ever more rarely, at a level that rises with the age', () => {
  const { heldBack, lines } = watched()
  for (let nowMs = 0; nowMs <= 130_000; nowMs += 50) heldBack.still(7, nowMs)
  expect(lines.map((l) => [l.level, l.xid, l.ageMs])).toEqual([
    [30, 7, 1_000],
    [30, 7, 2_000],
    [30, 7, 4_000],
    [40, 7, 8_000],
    [40, 7, 16_000],
    [40, 7, 32_000],
    [50, 7, 64_000],
    [50, 7, 128_000],
  ])
})

test('the age is that of the head in hand, and unknown when there is none', () => {
  const { heldBack } = watched()
  expect(heldBack.seconds(0)).toBeUndefined()
  heldBack.still(7, 1_000)
  expect(heldBack.seconds(3_500)).toBe(2.5)
  heldBack.still(8, 4_000)
  expect(heldBack.seconds(4_000)).toBe(0)
  heldBack.passed()
  expect(heldBack.seconds(5_000)).toBeUndefined()
})
