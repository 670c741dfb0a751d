import { expect, jest, test } from '@jest/globals'
import { TidemarkError } from '@tidemark/protocol'
import { UnreachablePool } from '../testing/scripted-pools.ts'
import { WatchedReplica } from './watched-replica.ts'

const fails = async () => Promise.reject(new Error('away'))
const answers = async () => 'answer'

/** A replica whose circuit changes are noted; the clock that they depend on is the test's. */
function watched() {
  const changes: string[] = []
  const replica = new WatchedReplica({ name: 'a', pool: new UnreachablePool() }, (state) => changes.push(state))
  const ask = (use: () => Promise<string>, signal?: AbortSignal) => replica.ask(use, signal).catch(() => 'failed')
  const failTimes = async (times: number) => {
    for (let i = 0; i < times; i++) await ask(fails)
  }
  return { changes, ask, failTimes }
}

beforeEachFakeClock()

function beforeEachFakeClock() {
  const clock = jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask', 'performance'] })
  clock.setSystemTime(1_700_000_000_000)
}

test('failures in a row open the circuit, and then nothing is asked', async () => {
  const { changes, ask, failTimes } = watched()
  await failTimes(2)
  expect(await ask(answers)).toBe('answer')
  await failTimes(3)
  expect(changes).toEqual(['open'])
  expect(await ask(async () => Promise.reject(new Error('must not be asked')))).toBeNull()
})

test('after a rest one load probes, others do not wait for it, and an answer closes the circuit', async () => {
  const { changes, ask, failTimes } = watched()
  await failTimes(3)
  jest.setSystemTime(Date.now() + 2_000)
  const probe = Promise.withResolvers<string>()
  const probing = ask(() => probe.promise)
  expect(await ask(answers)).toBeNull()
  probe.resolve('back')
  expect(await probing).toBe('back')
  expect([await ask(answers), changes]).toEqual(['answer', ['open', 'closed']])
})

test('a probe that fails, or is given up, leaves it open', async () => {
  const { changes, ask, failTimes } = watched()
  await failTimes(3)
  jest.setSystemTime(Date.now() + 60_000)
  expect(await ask(fails, AbortSignal.abort(new Error('given up')))).toBe('failed')
  expect(await ask(answers)).toBeNull()
  expect(changes).toEqual(['open', 'open'])
})

test('loads that their callers gave up say nothing of the replica, loads that ran out of time do', async () => {
  const givenUp = watched()
  for (let i = 0; i < 9; i++) await givenUp.ask(fails, AbortSignal.abort(new Error('the client went away')))
  expect(givenUp.changes).toEqual([])
  const late = watched()
  const deadline = AbortSignal.abort(new TidemarkError('DEADLINE_EXCEEDED', 'the load'))
  for (let i = 0; i < 3; i++) await late.ask(fails, deadline)
  expect(late.changes).toEqual(['open'])
})
