import { setTimeout as sleep } from 'node:timers/promises'
import { RedisServer, waitUntil } from '@tidemark/local'
import { Redis } from 'ioredis'
import { RefillEvents } from '../../../packages/refill/src/testing/refill-events.ts'
import type { PhaseReport } from './call-log.ts'
import { TroubledShop } from './troubled-shop.ts'

/** What is done to a Redis, and how it is undone. */
export interface Trouble {
  readonly name: string
  begin(server: RedisServer): unknown
  end(server: RedisServer): unknown
  /** It came back empty: until a worker has been there nothing can be shown to be fresh. */
  readonly losesAll?: true
  /** It takes no writes, and looks are served all the same. */
  readonly serves?: true
  /** It says nothing, so that a command costs its time-out. */
  readonly isSilent?: true
}

export const TROUBLES: readonly Trouble[] = [
  { name: 'stopped', begin: (server) => server.kill(), end: (server) => server.start(), losesAll: true },
  { name: 'paused', begin: (server) => server.pause(), end: (server) => server.resume(), isSilent: true },
  {
    name: 'read-only',
    begin: (server) => asked(server, ['replicaof', '127.0.0.1', '1']),
    end: (server) => asked(server, ['replicaof', 'no', 'one']),
    serves: true,
  },
  {
    name: 'without replicas',
    begin: (server) => asked(server, ['config', 'set', 'min-replicas-to-write', '1']),
    end: (server) => asked(server, ['config', 'set', 'min-replicas-to-write', '0']),
    serves: true,
  },
  {
    name: 'full',
    begin: (server) => asked(server, ['config', 'set', 'maxmemory', '1']),
    end: (server) => asked(server, ['config', 'set', 'maxmemory', '0']),
    serves: true,
  },
]

export interface TroubleReport {
  readonly trouble: PhaseReport
  /** After Redis was back for its client, and a worker had been there where it was empty. */
  readonly recovery: PhaseReport
  /** What was told of the circuit from the beginning of the trouble to the end of the recovery. */
  readonly circuit: readonly string[]
}

/** A shop under load goes through the troubles, one after another. */
export async function goThrough(
  troubles: readonly Trouble[],
  phaseMs: number,
): Promise<{ readonly healthy: PhaseReport; readonly troubled: ReadonlyMap<Trouble, TroubleReport> }> {
  await using server = await RedisServer.start()
  await using shop = await TroubledShop.open(server.url)
  await sleep(phaseMs)
  const healthy = told(shop.log.take('healthy'))
  const troubled = new Map<Trouble, TroubleReport>()
  for (const trouble of troubles) {
    using events = new RefillEvents()
    await trouble.begin(server)
    shop.log.take('the change')
    await sleep(phaseMs)
    const during = told(shop.log.take(trouble.name))
    const before = storesIn(events)
    await trouble.end(server)
    if (trouble.losesAll) await shop.trust()
    // Until its client has found it, it is away all the same, and what is loaded is not stored.
    await waitUntil('a value is stored again', () => storesIn(events) > before, { timeoutMs: 20_000 })
    shop.log.take('the change')
    await shop.servedAgain()
    await sleep(phaseMs)
    const recovery = told(shop.log.take(`after ${trouble.name}`))
    const circuit = events.all.map(({ event }) => event).filter((event) => event.startsWith('redisCircuit'))
    troubled.set(trouble, { trouble: during, recovery, circuit })
  }
  return { healthy, troubled }
}

function storesIn(events: RefillEvents): number {
  return events.all.filter((one) => one.event === 'refill' && one.outcome === 'stored').length
}

function told(report: PhaseReport): PhaseReport {
  process.stderr.write(`${JSON.stringify(report)}\n`)
  return report
}

async function asked(server: RedisServer, [command, ...args]: readonly [string, ...string[]]): Promise<void> {
  const client = new Redis(server.url)
  try {
    await client.call(command, ...args)
  } finally {
    client.disconnect()
  }
}
