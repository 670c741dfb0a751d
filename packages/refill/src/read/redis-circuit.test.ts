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
  const fail = async (times: number, how: () => Promise<unknown> = silent) => {
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
    expect(told[0]).toMatchObject({ event: 'redisCircuitOpened', error: { code: 'DEADLINE_EXCEEDED' } })
  })

  test('is not passed by for what fails at once: that costs nothing, and a new connection may be there next', async () => {
    const { redis, told, fail, look } = open()
    await fail(20, away)
    redis.does = answer
    expect(await look()).toEqual([null])
    expect(told).toEqual([])
  })

  test('by the client’s own time-out is passed by, too', async () => {
    const { told, fail } = open()
    await fail(5, async () => {
      throw new Error('Command timed out')
    })
    expect(told).toHaveLength(1)
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

describe('a refusal of writes', () => {
  test.each(['READONLY You can’t write', 'MISCONF Redis is', 'OOM command not allowed', 'NOREPLICAS Not enough'])(
    'keeps that script back for the pause, and neither looks nor other scripts: %s',
    async (message) => {
      const { redis, told, look, circuit } = open()
      const monotonic = jest.spyOn(performance, 'now').mockReturnValue(1_000)
      redis.does = async () => {
        throw refusal(message)
      }
      await expect(circuit.evalsha('lease', 0)).rejects.toThrow(message)
      redis.does = answer
      await expect(circuit.evalsha('lease', 0)).rejects.toBeInstanceOf(PassedBy)
      expect(await circuit.evalsha('require', 0)).toEqual([null])
      expect(await look()).toEqual([null])
      monotonic.mockReturnValue(1_000 + PAUSE_MS)
      expect(await circuit.evalsha('lease', 0)).toEqual([null])
      expect(told).toEqual([])
    },
  )

  test('is known in what a client has made of it', async () => {
    const { redis, circuit } = open()
    redis.does = async () => {
      throw new TidemarkError('REDIS_NOT_MASTER', 'Redis: READONLY', { cause: refusal('READONLY') })
    }
    await expect(circuit.evalsha('lease', 0)).rejects.toMatchObject({ code: 'REDIS_NOT_MASTER' })
    await expect(circuit.evalsha('lease', 0)).rejects.toBeInstanceOf(PassedBy)
  })

  test('and any other answer ends a row of failures', async () => {
    const { redis, told, circuit, fail } = open()
    for (let i = 0; i < 3; i++) {
      await fail(4)
      redis.does = async () => {
        throw refusal('NOSCRIPT')
      }
      await expect(circuit.evalsha('', 0)).rejects.toThrow('NOSCRIPT')
    }
    expect(told).toEqual([])
  })
})

test('of a cluster each partition is passed by for itself, of one server all together', async () => {
  for (const isCluster of [true, false]) {
    const redis = Object.assign(new ToldRedis(), { isCluster })
    redis.does = silent
    const [first, second] = redisCircuits(redis, 2, BOUNDS, () => undefined)
    for (let i = 0; i < 5; i++)
      await expect(first!.mgetBuffer('view')).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    await expect(first!.mgetBuffer('view')).rejects.toBeInstanceOf(PassedBy)
    redis.does = answer
    const look = second!.mgetBuffer('view').then(() => 'asked')
    await expect(look.catch(() => 'passed by')).resolves.toBe(isCluster ? 'asked' : 'passed by')
  }
})
