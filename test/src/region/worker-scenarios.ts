import { between, pick } from '../seeded-random.ts'
import { lasting, type Scenario } from './region.ts'

/** Between two kills: long enough to come up, short enough to be caught at it. */
const LIFE_MS = { min: 300, max: 4_000 }
/** Between two changes of a group: about as long as it takes to settle. */
const TURN_MS = { min: 1_000, max: 4_000 }

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
