import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import { type FindHolder, HeldBack } from './held-back.ts'

const NOBODY: FindHolder = async () => undefined

function watched() {
  const lines: { level: number; xid: number; ageMs: number; [more: string]: unknown }[] = []
  return {
    lines,
    heldBack: new HeldBack(pino({ level: 'debug' }, { write: (line: string) => lines.push(JSON.parse(line)) })),
  }
}

/** All questions that could be answered at once have been. */
function answered(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('looks again quickly at first and never more slowly than every 50 ms', () => {
  const { heldBack } = watched()
  expect(Array.from({ length: 9 }, () => heldBack.still(7, 0, NOBODY))).toEqual([1, 2, 4, 8, 16, 32, 50, 50, 50])
  heldBack.passed()
  expect(heldBack.still(8, 0, NOBODY)).toBe(1)
})

test('says so with xid and age, ever more rarely, at a level that rises with the age', async () => {
  const { heldBack, lines } = watched()
  for (let nowMs = 0; nowMs <= 130_000; nowMs += 50) heldBack.still(7, nowMs, NOBODY)
  await answered()
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

test('says who holds it, or why nobody knows, and never twice for one question', async () => {
  const { heldBack, lines } = watched()
  const holder = {
    ...{ xid: 7, pid: 12, application: 'shop', state: 'active', waitsFor: 'IPC: SyncRep' },
    ...{ ageSeconds: 3, prepared: null },
  }
  const answers: FindHolder[] = [async () => holder, NOBODY, async () => Promise.reject(new Error('no answer'))]
  for (const [i, findHolder] of answers.entries()) {
    heldBack.still(i, 0, findHolder)
    heldBack.still(i, 1_500, findHolder)
    heldBack.still(i, 1_600, findHolder)
    await answered()
  }
  expect(lines).toMatchObject([{ holder }, { holder: 'nobody any more' }, { err: { message: 'no answer' } }])
  expect(lines).toHaveLength(3)
})

test('the age is that of the head in hand, and unknown when there is none', () => {
  const { heldBack } = watched()
  expect(heldBack.seconds(0)).toBeUndefined()
  heldBack.still(7, 1_000, NOBODY)
  expect(heldBack.seconds(3_500)).toBe(2.5)
  heldBack.still(8, 4_000, NOBODY)
  expect(heldBack.seconds(4_000)).toBe(0)
  heldBack.passed()
  expect(heldBack.seconds(5_000)).toBeUndefined()
})
