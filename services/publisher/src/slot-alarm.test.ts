import { expect, test } from '@jest/globals'
import type { SlotHealth } from '@tidemark/postgres'
import { pino } from 'pino'
import { type Alarm, alarmOf, SlotAlarm } from './slot-alarm.ts'

const WELL: SlotHealth = {
  status: 'reserved',
  retainedBytes: 10,
  unconfirmedBytes: 5,
  safeBytes: null,
  limitBytes: null,
  inactiveSeconds: null,
  inactiveLimitSeconds: null,
}

test.each<[string, Partial<SlotHealth>, Alarm['level'] | undefined]>([
  ['nothing limits what is kept', { retainedBytes: 1e12 }, undefined],
  ['less than half of the budget is used', { limitBytes: 100, safeBytes: 51 }, undefined],
  ['half of the budget is used', { limitBytes: 100, safeBytes: 50 }, 'warn'],
  ['a fifth of the budget is left', { limitBytes: 100, safeBytes: 20 }, 'error'],
  ['the budget is overdrawn', { limitBytes: 100, safeBytes: -1 }, 'error'],
  ['more is kept than max_wal_size, without a limit', { status: 'extended' }, 'warn'],
  ['the next checkpoint ends it', { status: 'unreserved', limitBytes: 100, safeBytes: -1 }, 'error'],
  ['it is lost', { status: 'lost' }, 'error'],
  ['it waits to be made', { status: 'being-created' }, 'warn'],
  ['nobody streams, and nothing limits that', { inactiveSeconds: 1e6 }, undefined],
  ['nobody has streamed for half of the allowed time', { inactiveSeconds: 30, inactiveLimitSeconds: 60 }, 'warn'],
  ['the allowed time without a stream is nearly over', { inactiveSeconds: 50, inactiveLimitSeconds: 60 }, 'error'],
])('%s: %p is %p', (_, health, level) => {
  expect(alarmOf({ ...WELL, ...health })?.level).toBe(level)
})

const WARN: Alarm = { level: 'warn', severity: 1, what: 'half' }
const ERROR: Alarm = { level: 'error', severity: 2, what: 'nearly' }

function alarmed() {
  const lines: string[] = []
  const alarm = new SlotAlarm(pino({}, { write: (line: string) => lines.push(JSON.parse(line).msg) }))
  return { alarm, lines }
}

test('an alarm is said at once, at once again when it gets worse, and ever more rarely while it lasts', () => {
  const { alarm } = alarmed()
  const said: [number, Alarm['level']][] = []
  for (let minute = 0; minute <= 20; minute++) {
    const found = minute < 5 ? WARN : ERROR
    if (alarm.isDue(found, minute * 60_000)) said.push([minute, found.level])
  }
  expect(said).toEqual([
    [0, 'warn'],
    [1, 'warn'],
    [3, 'warn'],
    [5, 'error'],
    [6, 'error'],
    [8, 'error'],
    [12, 'error'],
    [20, 'error'],
  ])
})

test('an alarm that comes and goes is said once, and is over when it has stayed away for a minute', () => {
  const { alarm, lines } = alarmed()
  const due = [0, 2, 4, 6, 8].map((s) => alarm.isDue(s % 4 === 0 ? WARN : undefined, s * 1_000))
  expect(due).toEqual([true, false, false, false, false])
  expect(alarm.isDue(undefined, 67_000)).toBe(false)
  expect(lines).toEqual([])
  alarm.isDue(undefined, 68_000)
  expect(lines).toEqual(['the slot is well again'])
  expect(alarm.isDue(WARN, 70_000)).toBe(true)
})
