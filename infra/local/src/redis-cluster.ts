import type { Redis } from 'ioredis'
import { LocalServerError } from './errors.ts'
import { freeClusterPort } from './ports.ts'
import { RedisServer, type RedisSettings } from './redis.ts'
import { withRedis } from './redis-client.ts'
import type { ServerOptions } from './server-options.ts'
import { waitUntil } from './wait.ts'

const MASTERS = 3
const SLOTS = 16_384
const AGREE_TIMEOUT_MS = 30_000
const MIGRATE_TIMEOUT_MS = 5_000

export type RedisClusterOptions = Pick<ServerOptions, 'onDeath' | 'onProgress' | 'signal'> & {
  /** Of each master; none unless given. */
  readonly replicas?: number
  /** Of every node. */
  readonly settings?: RedisSettings
}

export interface SlotMove {
  /** How many keys are moved in one go; one unless given. */
  readonly keysAtOnce?: number
  /** Called when the slot is open at both ends, and after each go; the slot stays half moved until it returns. */
  readonly between?: (movedKeys: number) => void | Promise<void>
}

/** A Redis Cluster of three masters, each with a third of the slots. */
export class RedisCluster implements AsyncDisposable {
  /** The first three were the masters at the start. */
  readonly nodes: readonly RedisServer[]
  readonly #resources: AsyncDisposableStack

  private constructor(nodes: readonly RedisServer[], resources: AsyncDisposableStack) {
    this.nodes = nodes
    this.#resources = resources
  }

  static async start({ replicas = 0, ...options }: RedisClusterOptions = {}): Promise<RedisCluster> {
    await using resources = new AsyncDisposableStack()
    const nodes: RedisServer[] = []
    for (let n = 0; n < MASTERS * (1 + replicas); n += 1) nodes.push(resources.use(await startNode(n, options)))
    const cluster = new RedisCluster(nodes, resources)
    await cluster.#join()
    resources.move()
    return cluster
  }

  /** As services are given it. */
  get url(): string {
    return `redis-cluster://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
  }

  async slotOf(key: string): Promise<number> {
    return this.#ask((redis) => redis.cluster('KEYSLOT', key))
  }

  /** The master of a slot, as the nodes that run agree. */
  async ownerOf(slot: number): Promise<RedisServer> {
    return this.#untilOwned(slot, () => true)
  }

  /** Waits until another one is the master of a slot. */
  async failedOverFrom(former: RedisServer, slot: number): Promise<RedisServer> {
    return this.#untilOwned(slot, (owner) => owner !== former)
  }

  /** Hands a slot to another master with its keys, as an operator does while clients go on. */
  async moveSlot(slot: number, to: RedisServer, { keysAtOnce = 1, between }: SlotMove = {}): Promise<void> {
    const from = await this.ownerOf(slot)
    if (from === to) return
    const [fromId, toId] = await Promise.all([from, to].map((node) => withRedis(node.url, myId)))
    await withRedis(to.url, (redis) => redis.cluster('SETSLOT', slot, 'IMPORTING', fromId!))
    await withRedis(from.url, async (redis) => {
      await redis.cluster('SETSLOT', slot, 'MIGRATING', toId!)
      await between?.(0)
      for (let moved = 0; ; await between?.(moved)) {
        const keys = await redis.cluster('GETKEYSINSLOT', slot, keysAtOnce)
        if (keys.length === 0) break
        await redis.migrate('127.0.0.1', to.port, '', 0, MIGRATE_TIMEOUT_MS, 'KEYS', ...keys)
        moved += keys.length
      }
    })
    // The new owner first: from there its higher epoch makes it known, should this process end here.
    for (const node of [to, from]) await withRedis(node.url, (redis) => redis.cluster('SETSLOT', slot, 'NODE', toId!))
    await this.#untilOwned(slot, (owner) => owner === to)
  }

  /** Waits until every node that runs takes all slots for served. */
  async untilOk(): Promise<void> {
    const isOk = async () => {
      const states = this.#running.map((node) => withRedis(node.url, (redis) => redis.cluster('INFO')))
      return (await Promise.all(states)).every((info) => info.includes('cluster_state:ok'))
    }
    await waitUntil('the cluster is ok', isOk, { timeoutMs: AGREE_TIMEOUT_MS })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }

  get #running(): readonly RedisServer[] {
    return this.nodes.filter(({ isRunning }) => isRunning)
  }

  async #join(): Promise<void> {
    const [masters, replicas] = [this.nodes.slice(0, MASTERS), this.nodes.slice(MASTERS)]
    await Promise.all(masters.map((node, n) => withRedis(node.url, (redis) => takeShare(redis, n))))
    const ids = await Promise.all(masters.map((node) => withRedis(node.url, myId)))
    const [first, ...others] = this.nodes
    await withRedis(first!.url, async (redis) => {
      for (const { port } of others) await redis.cluster('MEET', '127.0.0.1', port)
    })
    await this.#untilKnown()
    for (const [n, node] of replicas.entries()) {
      await withRedis(node.url, (redis) => redis.cluster('REPLICATE', ids[n % MASTERS]!))
    }
    await this.untilOk()
  }

  /** Waits until every node has shaken hands with all others. */
  async #untilKnown(): Promise<void> {
    const isKnown = async () => {
      const views = await Promise.all(this.nodes.map((node) => withRedis(node.url, knownNodes)))
      return views.every((view) => view.length === this.nodes.length && view.every(isConnected))
    }
    await waitUntil('the nodes know one another', isKnown, { timeoutMs: AGREE_TIMEOUT_MS })
  }

  async #untilOwned(slot: number, by: (owner: RedisServer) => boolean): Promise<RedisServer> {
    let owner: RedisServer | undefined
    const isAgreed = async () => {
      const owners = new Set(await Promise.all(this.#running.map(async (node) => this.#ownerAt(node, slot))))
      owner = owners.size === 1 ? [...owners][0] : undefined
      return owner !== undefined && by(owner)
    }
    await waitUntil(`the nodes agree on the owner of slot ${slot}`, isAgreed, { timeoutMs: AGREE_TIMEOUT_MS })
    return owner!
  }

  async #ownerAt(node: RedisServer, slot: number): Promise<RedisServer | undefined> {
    const ranges = await withRedis(node.url, (redis) => redis.cluster('SLOTS'))
    // The master is the first of a range's nodes.
    const port = ranges.find(([first, last]) => first <= slot && slot <= last)?.[2]?.[1]
    return this.nodes.find((candidate) => candidate.port === port)
  }

  async #ask<T>(question: (redis: Redis) => Promise<T>): Promise<T> {
    const [node] = this.#running
    if (!node) throw new LocalServerError('WRONG_STATE', 'no node of the cluster runs')
    return withRedis(node.url, question)
  }
}

async function startNode(n: number, { settings, ...options }: RedisClusterOptions): Promise<RedisServer> {
  return RedisServer.start({
    ...options,
    name: `node ${n}`,
    port: await freeClusterPort(),
    settings: {
      'cluster-enabled': 'yes',
      'cluster-node-timeout': 2_000,
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': 0,
      ...settings,
    },
  })
}

async function takeShare(redis: Redis, n: number): Promise<void> {
  const [first, next] = [n, n + 1].map((third) => Math.ceil((third * SLOTS) / MASTERS))
  const slots = Array.from({ length: next! - first! }, (_, slot) => first! + slot)
  // With equal epochs the nodes would settle first whose is the higher.
  await redis.cluster('SET-CONFIG-EPOCH', n + 1)
  await redis.cluster('ADDSLOTS', ...slots)
}

async function myId(redis: Redis): Promise<string> {
  return redis.cluster('MYID')
}

async function knownNodes(redis: Redis): Promise<string[]> {
  return String(await redis.cluster('NODES'))
    .trimEnd()
    .split('\n')
}

function isConnected(node: string): boolean {
  return / connected\b/.test(node) && !node.includes('handshake')
}
