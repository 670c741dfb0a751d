import { describe, expect, test } from '@jest/globals'
import type { RedisClient } from '@tidemark/guard'
import { defineSource } from '@tidemark/protocol'
import { Redis } from 'ioredis'
import { checkedOptions } from './options.ts'
import { DEFAULT_PRIMARY_LIMIT } from './sources/primary-limit.ts'
import { SilentPool } from './testing/scripted-pools.ts'
import { DEFAULT_TIMINGS } from './timings.ts'

const source = defineSource({
  name: 'shop',
  keyspaces: { product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
const SECRET = 'a secret that has thirty-two bytes'
const silent = () => new Promise<never>(() => undefined)
const redis: RedisClient = { evalsha: silent, eval: silent, mgetBuffer: silent }
const primary = new SilentPool()
const serializer = { id: 16, encode: () => Buffer.alloc(0), decode: () => 0 }

/** The mistakes that are told, one a line. */
function mistakesIn(options: object): string[] {
  try {
    checkedOptions({ source, redis, primary, ...options })
  } catch (error) {
    const [head, ...lines] = (error as Error).message.split('\n  ')
    expect(head).toBe(`CONFIG_INVALID: ${lines.length} mistake(s) in the options of openTidemark:`)
    return lines
  }
  return []
}

const WHOLE = 'must be a whole number'

describe('options', () => {
  test('with none but the servers all have their defaults', () => {
    expect(checkedOptions({ source, redis, primary })).toMatchObject({
      ...{ timings: DEFAULT_TIMINGS, primaryLimit: DEFAULT_PRIMARY_LIMIT, region: 'local', replicas: [] },
      ...{ tokenMaxAgeMs: 86_400_000, maxValueBytes: 1_048_576, maxRefreshes: 4 },
    })
  })

  test('one that is given as undefined has its default', () => {
    const timings = { readMs: undefined }
    expect(checkedOptions({ source, redis, primary, timings, region: undefined })).toMatchObject({
      ...{ timings: DEFAULT_TIMINGS, region: 'local' },
    })
  })

  test('servers and what else has methods are passed on as they are', () => {
    const route = { name: 'us-east', ask: silent }
    const replicas = [{ name: 'eu-1', pool: new SilentPool() }, new SilentPool()]
    const checked = checkedOptions({ source, redis, primary, replicas, route, serializer })
    expect(checked.route).toBe(route)
    expect(checked.serializer).toBe(serializer)
    for (const [i, replica] of replicas.entries()) expect(checked.replicas[i]).toBe(replica)
  })

  test.each(Object.keys(DEFAULT_TIMINGS))(
    'timings.%s is no number that bounds nothing, no fraction and no text',
    (name) => {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1, 1.5, '250', null, 2 ** 31, true]) {
        expect(mistakesIn({ timings: { [name]: bad } })).toContainEqual(
          expect.stringMatching(`^timings.${name}: ${WHOLE}`),
        )
      }
    },
  )

  test.each([
    ['readMs', 1],
    ['pollMs', 1],
    ['leaseMs', 1],
    ['loadMs', 1],
    ['redisPauseMs', 1],
    ['leaseWaitMs', 0],
    ['watermarkWaitMs', 0],
    ['replicaWaitMs', 0],
  ])('the least %s is %d', (name, least) => {
    const isTold = (value: number) => mistakesIn({ timings: { [name]: value } }).some((told) => told.includes(WHOLE))
    expect([isTold(least), isTold(least - 1)]).toEqual([false, true])
  })

  test.each<[object, string]>([
    [{ timings: { readMs: 250 } }, 'timings.redisTimeoutMs: 250 must be less than readMs, which is 250'],
    [{ timings: { leaseMs: 200 } }, 'timings.redisTimeoutMs: 250 must be less than leaseMs, which is 200'],
    [{ timings: { readMs: 10, redisTimeoutMs: 5, pollMs: 10 } }, 'timings.pollMs: 10 must be less than readMs'],
    [
      { timings: { readMs: 2_000 }, route: { name: 'us', ask: silent } },
      'timings.routeMs: 2000 must be less than readMs, which is 2000',
    ],
    [
      { timings: { loadMs: 900 }, replicas: [new SilentPool()] },
      'timings.replicaAnswerMs: 1000 must be less than loadMs, which is 900',
    ],
    [
      { timings: { replicaWaitMs: 5_000 }, replicas: [new SilentPool()] },
      'timings.replicaWaitMs: 5000 must be less than loadMs, which is 5000',
    ],
    [{ replicas: [primary] }, 'replicas[0]: is the pool of the primary'],
    [{ replicas: [{ name: 'eu-1', pool: primary }] }, 'replicas[0]: is the pool of the primary'],
    [
      { replicas: ['eu-1', 'eu-1'].map((name) => ({ name, pool: new SilentPool() })) },
      'replicas[1].name: must be a name of its own',
    ],
    [{ replicas: [{ name: 'primary', pool: new SilentPool() }] }, 'replicas[0].name: must be a name of its own'],
    [{ replicas: [{ pool: new SilentPool() }] }, 'replicas[0].name: must be a name of its own'],
  ])('what makes no sense together is refused: %j', (options, told) => {
    expect(mistakesIn(options)).toEqual([expect.stringContaining(told)])
  })

  test('what would clash is none of a region’s that has no route and no replicas', () => {
    expect(mistakesIn({ timings: { readMs: 1_000, loadMs: 500 } })).toEqual([])
  })

  test('the client that asks is not the one that listens', () => {
    const client = new Redis({ lazyConnect: true })
    expect(mistakesIn({ redis: client, memory: { subscriber: client } })).toEqual([
      expect.stringMatching(/^memory\.subscriber: must be a client of its own.*redis\.duplicate\(\)/),
    ])
    expect(mistakesIn({ redis: client, memory: { subscriber: client.duplicate() } })).toEqual([])
  })

  test.each<[object, string]>([
    [{ timing: {} }, 'timing: there is no such option'],
    [{ timings: { raedMs: 5 } }, 'timings.raedMs: there is no such option'],
    [{ primaryLimit: { perSeconds: 5 } }, 'primaryLimit.perSeconds: there is no such option'],
    [{ compression: { algorithm: 'gzip', minSize: 5 } }, 'compression.minSize: there is no such option'],
    [{ tokenKeys: [{ id: 1, secret: SECRET, key: 1 }] }, 'tokenKeys[0].key: there is no such option'],
    [{ source: { name: 'shop' } }, 'source: must be what defineSource() gave'],
    [{ source: undefined }, 'source: must be what defineSource() gave'],
    [{ redis: {} }, 'redis: must be a client of ioredis'],
    [{ redis: 'redis://127.0.0.1' }, 'redis: must be a client of ioredis'],
    [{ primary: 'postgres://127.0.0.1' }, 'primary: must be a pool'],
    [{ replicas: [{ name: 'eu-1', pool: {} }] }, 'replicas[0]: must be a pool'],
    [{ primaryLimit: { perSecond: 0 } }, 'primaryLimit.perSecond: must be more than 0'],
    [{ primaryLimit: { perSecond: Number.NaN } }, 'primaryLimit.perSecond: must be a number'],
    [{ primaryLimit: { perSecond: Number.POSITIVE_INFINITY } }, 'primaryLimit.perSecond: must be a number'],
    [{ primaryLimit: { burst: 1.5 } }, `primaryLimit.burst: ${WHOLE} of at least 1, and is 1.5`],
    [{ primaryLimit: { waitMs: -1 } }, `primaryLimit.waitMs: ${WHOLE}`],
    [{ region: '' }, 'region: must be a name'],
    [{ tokenMaxAgeMs: 0 }, `tokenMaxAgeMs: ${WHOLE}`],
    [{ tokenMaxAgeMs: '3600000' }, 'and is a text: make it one by Number()'],
    [{ maxValueBytes: 2 ** 30 }, `maxValueBytes: ${WHOLE} from 1 to 536870912`],
    [{ maxRefreshes: 0 }, `maxRefreshes: ${WHOLE}`],
    [{ compression: { algorithm: 'lzw' } }, 'compression.algorithm: must be one that this Node has: gzip, brotli'],
    [{ compression: { algorithm: 'gzip', minBytes: -1 } }, `compression.minBytes: ${WHOLE}`],
    [{ serializer: { ...serializer, id: 1 } }, 'serializer.id: must be 16-63'],
    [{ serializer: { id: 16 } }, 'serializer: must be a serializer'],
    [{ route: { name: 'us-east' } }, 'route: must be a name and ask()'],
    [{ memory: { subscriber: {} } }, 'memory.subscriber: must be a client of ioredis'],
    [{ memory: { subscriber: { subscribe: silent, on: silent }, maxEntries: 0 } }, `memory.maxEntries: ${WHOLE}`],
    [{ tokenKeys: [{ id: 256, secret: SECRET }] }, `tokenKeys[0].id: ${WHOLE} from 0 to 255`],
    [
      { tokenKeys: [{ id: 1, secret: Buffer.alloc(31) }] },
      'tokenKeys[0].secret: must be a text or bytes, of at least 32',
    ],
    [{ tokenKeys: [1, 1].map((id) => ({ id, secret: SECRET })) }, 'tokenKeys[1].id: is given twice: 1'],
  ])('what is no option is refused: %j', (options, told) => {
    expect(mistakesIn(options)).toEqual([expect.stringContaining(told)])
  })

  test('all mistakes are told at once, and no secret with them', () => {
    const secret = 'short and secret'
    const told = mistakesIn({
      ...{ primary: {}, replicas: [primary, 5], tokenKeys: [1, 1].map((id) => ({ id, secret })), reigon: 'eu' },
      timings: { readMs: secret, leaseMs: 100, loadsMs: 5 },
    })
    expect(told.map((line) => line.split(': ')[0]).sort()).toEqual(
      ['primary', 'reigon', 'replicas[1]', 'timings.loadsMs', 'timings.readMs', 'timings.redisTimeoutMs']
        .concat(['tokenKeys[0].secret', 'tokenKeys[1].secret', 'tokenKeys[1].id'])
        .sort(),
    )
    expect(told.join()).not.toContain(secret)
  })
})
