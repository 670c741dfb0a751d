import { type RedisServer, type TcpProxy, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import { between, pick } from '../seeded-random.ts'
import { lasting, type Scenario } from './region.ts'
import type { RegionContext } from './region-context.ts'
import { oneRedis } from './region-redis.ts'

/** Between two kills: long enough to come up, short enough to be caught at it. */
const LIFE_MS = { min: 300, max: 4_000 }
/** Between two changes of a group: about as long as it takes to settle. */
const TURN_MS = { min: 1_000, max: 4_000 }
/** Long enough for every partition to have a batch under way, and less than a command may take. */
const SENDING_MS = 500
const IDLE_SECONDS = 2
const DEADLINE_MS = 30_000

export const WORKER_SCENARIOS = {
  'worker killed again and again': {
    workers: 1,
    fault: async ({ workers: [worker] }, { ms, random }) => {
      for (const until = Date.now() + ms; Date.now() < until; ) {
        await lasting(between(random, LIFE_MS.min, LIFE_MS.max))
        await worker!.kill()
        await worker!.start()
      }
    },
  },
  'worker paused while another takes over': {
    workers: 2,
    fault: async ({ workers: [zombie] }, { ms }) => {
      zombie!.pause()
      await lasting(ms)
      zombie!.resume()
    },
  },
  'three workers, one leaving or joining at any time': {
    workers: 3,
    fault: async ({ workers }, { ms, random }) => {
      for (const until = Date.now() + ms; Date.now() < until; ) {
        const worker = pick(random, workers)
        if (!worker.isRunning) await worker.start()
        else if (workers.filter(({ isRunning }) => isRunning).length > 1)
          await worker[pick(random, ['kill', 'stop'] as const)]()
        await lasting(between(random, TURN_MS.min, TURN_MS.max))
      }
      for (const worker of workers) if (!worker.isRunning) await worker.start()
    },
  },
} as const satisfies Record<string, Scenario>

/**
 * What a worker sent before it froze reaches Redis late: another has the partitions by then, and they have a gap that no
 * watermark has closed. One of before the loss would close it.
 *
 * @param network between the first worker and Redis
 */
export function lateCommands(redis: RedisServer, network: TcpProxy): Scenario {
  return {
    servers: { redis: oneRedis(redis.url) },
    workers: 2,
    workerEnv: (worker) => (worker === 0 ? { TIDEMARK_REDIS_URL: `redis://127.0.0.1:${network.port}` } : {}),
    fault: async (region, { ms }) => {
      const { publisher, context } = region
      const [frozen, successor] = region.workers
      network.silence({ directions: ['to-server'] })
      await lasting(SENDING_MS)
      frozen!.pause()
      await lasting(ms)
      publisher.pause()
      await region.losing(() => context.redis.flushall())
      // It would learn of the loss from the next record; there is none.
      await successor!.kill()
      await successor!.start()
      await waitUntil('there is a gap', () => hasGaps(context), { timeoutMs: DEADLINE_MS })
      const waiting = await idleWorkers(redis)
      await network.restore()
      const haveArrived = async () => (await idleWorkers(redis)).every((client) => !waiting.includes(client))
      await waitUntil('what was sent arrives', async () => waiting.length > 0 && haveArrived(), {
        timeoutMs: DEADLINE_MS,
      })
      frozen!.resume()
      publisher.resume()
    },
  }
}

/** Workers that nothing has come from for long: that can only be the frozen one, whatever came last before the silence. */
async function idleWorkers(redis: RedisServer): Promise<string[]> {
  const client = new Redis(redis.url)
  try {
    const lines = String(await client.client('LIST')).split('\n')
    return lines.flatMap((line) => {
      const { id, idle } = /^id=(?<id>\d+) .* name=tidemark-worker\S* .* idle=(?<idle>\d+) /.exec(line)?.groups ?? {}
      return Number(idle) >= IDLE_SECONDS ? [id!] : []
    })
  } finally {
    client.disconnect()
  }
}

async function hasGaps(context: RegionContext): Promise<boolean> {
  return (await context.views()).every((view) => view?.gap !== undefined)
}
