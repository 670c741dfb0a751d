import { expect, test } from '@jest/globals'
import { RedisError, type RedisErrorKind } from '@tidemark/redis'
import { serviceLog } from '@tidemark/service'
import { type Patience, persistently } from './redis.ts'

const patience: Patience = {
  signal: new AbortController().signal,
  patienceMs: 150,
  slotMoveMs: 600,
  log: serviceLog('redis-test', 'silent'),
}

/** A Redis that fails in this way for so long, then answers. */
function failingFor(ms: number, kinds: readonly RedisErrorKind[]) {
  const untilMs = performance.now() + ms
  let asked = 0
  const run = async () => {
    asked += 1
    if (performance.now() < untilMs) throw new RedisError(kinds[asked % kinds.length]!, 'on purpose', {})
    return asked
  }
  return { run, asked: () => asked }
}

test('what passes within the patience is waited for', async () => {
  await expect(persistently('apply', failingFor(50, ['busy']).run, patience)).resolves.toBeGreaterThan(1)
})

test('what does not is given up with the last error', async () => {
  const busy = failingFor(60_000, ['busy'])
  await expect(persistently('apply', busy.run, patience)).rejects.toMatchObject({ kind: 'busy' })
})

test('a slot that moves is waited for beyond that, whatever else fails in between', async () => {
  const moving = failingFor(350, ['slot-moving', 'timeout'])
  await expect(persistently('apply', moving.run, patience)).resolves.toBeGreaterThan(1)
})

test('and is given up as well, later', async () => {
  const sinceMs = performance.now()
  const moving = failingFor(60_000, ['slot-moving'])
  await expect(persistently('apply', moving.run, patience)).rejects.toMatchObject({ kind: 'slot-moving' })
  expect(performance.now() - sinceMs).toBeGreaterThan(patience.slotMoveMs!)
})

test('what somebody has to mend is thrown at once', async () => {
  const refused = failingFor(60_000, ['refused'])
  await expect(persistently('apply', refused.run, patience)).rejects.toMatchObject({ kind: 'refused' })
  expect(refused.asked()).toBeLessThan(3)
})

test('the signal ends the waiting with its reason', async () => {
  const ending = new AbortController()
  const busy = failingFor(60_000, ['busy'])
  const asked = persistently('apply', busy.run, { ...patience, signal: ending.signal })
  const reason = new Error('SIGTERM')
  ending.abort(reason)
  await expect(asked).rejects.toBe(reason)
})
