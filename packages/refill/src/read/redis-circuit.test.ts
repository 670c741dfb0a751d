import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import type { RedisClient } from '@tidemark/guard'
import { TidemarkError } from '@tidemark/protocol'
import { type CircuitEvent, PassedBy, redisCircuits } from './redis-circuit.ts'

const PAUSE_MS = 1_000
const BOUNDS = { redisTimeoutMs: 20, redisPauseMs: PAUSE_MS }
const answer = async () => [null]
const away = async () => {
  throw new Error('Connection is closed.')
}
const silent = () => new Promise<never>(() => undefined)
const refusal = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

/** A Redis that does with each command what it is told to, and counts those that reach it. */
class ToldRedis implements RedisClient {
  does: () => Promise<unknown> = answer
  asked = 0

  readonly #ask = async () => {
    this.asked++
    return this.does()
  }

  evalsha = this.#ask
  eval = this.#ask
  mgetBuffer = this.#ask as RedisClient['mgetBuffer']
}

let now = 1_700_000_000_000
beforeEach(() => {
  jest.spyOn(Date, 'now').mockImplementation(() => now)
})
afterEach(() => {
  jest.restoreAllMocks()
})

function open() {
  const redis = new ToldRedis()
  const told: CircuitEvent[] = []
  const [circuit] = redisCircuits(redis, 1, BOUNDS, (event) => told.push(event))
  const look = () => circuit!.mgetBuffer('view')
  const fail = async (times: number, how = away) => {
    redis.does = how
    for (let i = 0; i < times; i++) await expect(look()).rejects.not.toBeInstanceOf(PassedBy)
  }
  return { redis, told, circuit: circuit!, look, fail }
}

describe('a Redis that does not answer', () => {
  test('is passed by after five failures in a row, and that is told once', async () => {
    const { redis, told, look, fail } = open()
    await fail(4)
    expect(told).toEqual([])
    await fail(1)
    await expect(look()).rejects.toBeInstanceOf(PassedBy)
    expect([redis.asked, told.length]).toEqual([5, 1])
    expect(told[0]).toMatchObject({ event: 'redisCircuitOpened', error: { message: 'Connection is closed.' } })
  })

  test('in time has failed: that is what a paused one costs', async () => {
    const { told, fail } = open()
    await fail(5, silent)
    expect(told).toMatchObject([{ error: { code: 'DEADLINE_EXCEEDED' } }])
  })

  test('is not passed by when it answers in between', async () => {
    const { redis, look, fail } = open()
    for (let i = 0; i < 5; i++) {
      await fail(4)
      redis.does = answer
      await look()
    }
  })

  test('is probed by one command after the pause, and nobody waits for the probe', async () => {
    const { redis, told, look, fail } = open()
    await fail(5)
    now += PAUSE_MS
    const { promise, resolve } = Promise.withResolvers<unknown>()
    redis.does = () => promise
    const probe = look()
    for (let i = 0; i < 10; i++) await expect(look()).rejects.toBeInstanceOf(PassedBy)
    expect(redis.asked).toBe(6)
    resolve([null])
    expect(await probe).toEqual([null])
    expect(told.at(-1)).toEqual({ event: 'redisCircuitClosed', partition: null })
    redis.does = answer
    expect(await look()).toEqual([null])
  })

  test('is passed by for another pause when the probe fails, and that is nothing to tell', async () => {
    const { redis, told, look, fail } = open()
    await fail(5)
    now += PAUSE_MS
    await fail(1)
    await expect(look()).rejects.toBeInstanceOf(PassedBy)
    now += PAUSE_MS - 1
    await expect(look()).rejects.toBeInstanceOf(PassedBy)
    expect([redis.asked, told.length]).toEqual([6, 1])
  })
})

describe('a refusal is an answer', () => {
  test.each(['READONLY You can’t write', 'MISCONF Redis is', 'OOM command not allowed', 'NOREPLICAS Not enough'])(
    '%s',
    async (message) => {
      const { redis, told, look, circuit } = open()
      redis.does = async () => {
        throw refusal(message)
      }
      for (let i = 0; i < 20; i++) await expect(circuit.evalsha('', 0)).rejects.toThrow(message)
      redis.does = answer
      expect(await look()).toEqual([null])
      expect(told).toEqual([])
    },
  )

  test('that a client has made an error of its own of, too', async () => {
    const { redis, told, circuit } = open()
    redis.does = async () => {
      throw new TidemarkError('REDIS_NOT_MASTER', 'Redis: READONLY', { cause: refusal('READONLY') })
    }
    for (let i = 0; i < 20; i++)
      await expect(circuit.evalsha('', 0)).rejects.toMatchObject({ code: 'REDIS_NOT_MASTER' })
    expect(told).toEqual([])
  })

  test('and ends a row of failures', async () => {
    const { redis, told, circuit, fail } = open()
    for (let i = 0; i < 3; i++) {
      await fail(4)
      redis.does = async () => {
        throw refusal('READONLY')
      }
      await expect(circuit.evalsha('', 0)).rejects.toThrow('READONLY')
    }
    expect(told).toEqual([])
  })
})

test('of a cluster each partition is passed by for itself, of one server all together', async () => {
  for (const isCluster of [true, false]) {
    const redis = Object.assign(new ToldRedis(), { isCluster })
    redis.does = away
    const [first, second] = redisCircuits(redis, 2, BOUNDS, () => undefined)
    for (let i = 0; i < 5; i++) await expect(first!.mgetBuffer('view')).rejects.toThrow('closed')
    await expect(first!.mgetBuffer('view')).rejects.toBeInstanceOf(PassedBy)
    redis.does = answer
    const look = second!.mgetBuffer('view').then(() => 'asked')
    await expect(look.catch(() => 'passed by')).resolves.toBe(isCluster ? 'asked' : 'passed by')
  }
})
