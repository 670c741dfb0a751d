import { expect, test } from '@jest/globals'
import { pino } from 'pino'
import type { Alarm, Delay } from './cut-off.ts'
import { DelayLog, levelOf } from './delay-log.ts'

const alarm = (criticality: Alarm['criticality']): Alarm => ({ keyspace: 'product', criticality, forMs: 1 })
const cutOff = (forMs: number): Delay => ({ kind: 'cut off', partitions: [0], forMs })
const behind = (forMs: number): Delay => ({ kind: 'behind', partitions: [0], forMs })

test.each([
  [4_000, [], 'info'],
  [20_000, [], 'warn'],
  [20_000, [alarm('normal')], 'warn'],
  [20_000, [alarm('high')], 'error'],
  [60_000, [alarm('normal')], 'error'],
  [60_000, [alarm('low')], 'error'],
  [60_000, [], 'warn'],
] as const)('a delay of %d ms with alarms %j is told at level %s', (forMs, alarms, level) => {
  expect(levelOf(cutOff(forMs), alarms)).toBe(level)
})

/** Looks once a second, as the worker does, and gives what was logged. */
function told(looks: readonly (readonly [Delay | null, readonly Alarm[]])[]): [string, string][] {
  const lines: { level: number; msg: string }[] = []
  let nowMs = 1_000_000
  const log = new DelayLog(pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) }), () => nowMs)
  for (const [delay, alarms] of looks) {
    nowMs += 1_000
    log.noticed(delay, alarms)
  }
  return lines.map(({ level, msg }) => [pino.levels.labels[level]!, msg.replace(/ since.*/, '')])
}

test('a cut-off is told when it begins and when it grows louder, then once that it is over', () => {
  const growing = Array.from({ length: 100 }, (_, i) => [cutOff(11_000 + 1_000 * i), [alarm('normal')]] as const)
  const over = [null, []] as const
  expect(told([over, ...growing, over, over])).toEqual([
    ['warn', 'cut off'],
    ['error', 'cut off'],
    ['info', 'current again, after 111000 ms'],
  ])
})

test('a region that catches up is behind, not cut off any more, and grows no louder while its view grows younger', () => {
  const looks = [cutOff(70_000), behind(60_000), behind(30_000), behind(12_000)].map(
    (delay) => [delay, [alarm('low')]] as const,
  )
  expect(told([...looks, [null, []]])).toEqual([
    ['error', 'cut off'],
    ['error', 'behind'],
    ['info', 'current again, after 74000 ms'],
  ])
})

test('a region that is current is not worth a line', () => {
  expect(
    told([
      [null, []],
      [null, []],
    ]),
  ).toEqual([])
})
