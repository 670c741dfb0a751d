import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildSpec } from './child.ts'
import { freePort } from './ports.ts'
import { RedisServer, type RedisSettings, settingsText } from './redis.ts'
import { findRedis, type RedisBinary } from './redis-binary.ts'
import { redisAnswers, withRedis } from './redis-client.ts'
import { openServerFolder, type ServerFolder } from './run-folder.ts'
import type { ServerOptions } from './server-options.ts'
import { ServerProcess } from './server-process.ts'
import { TcpProxy } from './tcp-proxy.ts'
import { waitUntil } from './wait.ts'

const SENTINELS = 3
const QUORUM = 2
const MASTER_NAME = 'tidemark'
const START_TIMEOUT_MS = 15_000
/** A failover takes two or three seconds; one that two sentinels began at once is tried again after twice its time-out. */
const FAILOVER_TIMEOUT_MS = 20_000

/**
 * From here the sentinels and the replicas come, and nobody else. They and all clients know a server by one address, so
 * that only where a connection comes from tells whose it is. Linux has the whole of 127.0.0.0/8; elsewhere add this one.
 */
const INSIDE = '127.0.0.2'
const OUTSIDE = '127.0.0.1'

export type SentinelOptions = Pick<ServerOptions, 'onDeath' | 'onProgress' | 'signal'> & {
  readonly replicas?: number
  /** Of the master and of the replicas. */
  readonly settings?: RedisSettings
  /** How long the master has to be silent until it counts as down. */
  readonly downAfterMs?: number
}

export interface Partition {
  /** Whether clients who know the sentinels by `url` are on the old master's side, and are told of nothing. */
  readonly withClients?: boolean
}

/** A Redis as sentinels, replicas and clients know it: by the port of the network before it. */
interface Node {
  readonly server: RedisServer
  readonly proxy: TcpProxy
}

/** A master, its replicas, and three sentinels that make a replica the master when it is down. */
export class RedisSentinel implements AsyncDisposable {
  readonly #nodes: readonly Node[]
  readonly sentinels: readonly SentinelServer[]
  readonly #resources: AsyncDisposableStack

  private constructor(nodes: readonly Node[], sentinels: readonly SentinelServer[], resources: AsyncDisposableStack) {
    this.#nodes = nodes
    this.sentinels = sentinels
    this.#resources = resources
  }

  static async start(options: SentinelOptions = {}): Promise<RedisSentinel> {
    const { replicas = 1, downAfterMs = 1_000 } = options
    const binary = await findRedis(options)
    await using resources = new AsyncDisposableStack()
    const nodes: Node[] = []
    for (let n = 0; n <= replicas; n += 1)
      nodes.push(await startNode(resources, { ...options, binary, master: nodes[0] }))
    await Promise.all(nodes.slice(1).map(({ server }) => untilSynchronised(server)))
    const sentinels: SentinelServer[] = []
    const masterPort = nodes[0]!.proxy.port
    for (let n = 0; n < SENTINELS; n += 1) {
      sentinels.push(resources.use(await SentinelServer.start({ ...options, binary, masterPort, downAfterMs })))
    }
    await Promise.all(sentinels.map((sentinel) => sentinel.untilComplete(replicas)))
    return new RedisSentinel(nodes, sentinels, resources.move())
  }

  /** As services are given it. */
  get url(): string {
    return urlOf(this.sentinels.map(({ proxy }) => proxy.port))
  }

  /** For clients that are beside the sentinels, on their side of every partition. */
  get urlBeside(): string {
    return urlOf(this.sentinels.map(({ port }) => port))
  }

  get masterName(): string {
    return MASTER_NAME
  }

  /** The one on which the sentinels agree. */
  async master(): Promise<RedisServer> {
    return this.#masterOtherThan(undefined)
  }

  async replicas(): Promise<RedisServer[]> {
    const master = await this.master()
    return this.#nodes.map(({ server }) => server).filter((server) => server !== master)
  }

  /** Ends the master as a crash does. @returns the next one */
  async failOver(): Promise<RedisServer> {
    const master = await this.master()
    await master.kill()
    return this.failedOverFrom(master)
  }

  /** Waits until another one is the master. */
  async failedOverFrom(master: RedisServer): Promise<RedisServer> {
    return this.#masterOtherThan(master)
  }

  /**
   * Cuts the master off from its replicas and the sentinels, who make a replica the master. Clients still reach everybody:
   * one that is connected to the old master goes on there, and what it writes is lost with `heal`. @returns the old master
   */
  async partition({ withClients = false }: Partition = {}): Promise<RedisServer> {
    const master = await this.master()
    this.#nodes.find(({ server }) => server === master)?.proxy.silence({ from: INSIDE })
    if (withClients) for (const { proxy } of this.sentinels) proxy.silence({ from: OUTSIDE })
    return master
  }

  /** Ends the partition. Some ten seconds later the sentinels make the old master a replica of the new one. */
  async heal(): Promise<void> {
    for (const { proxy } of [...this.#nodes, ...this.sentinels]) await proxy.restore()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }

  async #masterOtherThan(former: RedisServer | undefined): Promise<RedisServer> {
    let master: RedisServer | undefined
    const isAgreed = async () => {
      master = await this.#agreed()
      return master !== undefined && master !== former
    }
    const what = former ? 'another redis is the master' : 'the sentinels agree on a master'
    await waitUntil(what, isAgreed, { timeoutMs: FAILOVER_TIMEOUT_MS, everyMs: 100 })
    return master!
  }

  async #agreed(): Promise<RedisServer | undefined> {
    const answering = this.sentinels.filter(({ isRunning }) => isRunning)
    const ports = new Set(await Promise.all(answering.map((sentinel) => sentinel.masterPort())))
    return this.#nodes.find(({ proxy }) => ports.size === 1 && ports.has(proxy.port))?.server
  }
}

interface NodeOptions extends SentinelOptions {
  readonly binary: RedisBinary
  /** Absent for the master itself. */
  readonly master: Node | undefined
}

async function startNode(resources: AsyncDisposableStack, options: NodeOptions): Promise<Node> {
  const { binary, master, settings, ...common } = options
  const port = await freePort()
  const proxy = resources.use(await TcpProxy.start(port))
  const server = await RedisServer.start({
    ...common,
    name: master ? 'replica' : 'master',
    port,
    settings: {
      ...comingFromInside(binary),
      'replica-announce-ip': '127.0.0.1',
      'replica-announce-port': proxy.port,
      // At once, without a file and without waiting for more replicas.
      'repl-diskless-sync': 'yes',
      'repl-diskless-sync-delay': 0,
      'repl-ping-replica-period': 1,
      ...(master && { replicaof: `127.0.0.1 ${master.proxy.port}` }),
      ...settings,
    },
  })
  resources.use(server)
  return { server, proxy }
}

/** Before Redis 7 outgoing connections came from the first address that was listened on; since then there is a setting. */
function comingFromInside({ version }: RedisBinary): RedisSettings {
  return { bind: `${INSIDE} 127.0.0.1`, ...(version[0] >= 7 && { 'bind-source-addr': INSIDE }) }
}

async function untilSynchronised(replica: RedisServer): Promise<void> {
  const isUp = () =>
    withRedis(replica.url, async (redis) => (await redis.info('replication')).includes('master_link_status:up'))
  await waitUntil('the replica is synchronised', isUp, { timeoutMs: START_TIMEOUT_MS })
}

function urlOf(ports: readonly number[]): string {
  return `redis-sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/0#${MASTER_NAME}`
}

interface SentinelPlace {
  readonly folder: ServerFolder
  readonly port: number
  readonly command: string
  readonly onDeath: ServerOptions['onDeath']
}

interface SentinelServerOptions extends Pick<ServerOptions, 'onDeath' | 'signal'> {
  readonly binary: RedisBinary
  readonly masterPort: number
  readonly downAfterMs: number
}

/** One sentinel. It writes what it learns into its own file of settings, and starts again from there. */
export class SentinelServer extends ServerProcess {
  readonly port: number
  /** By which the others and the clients know it. */
  readonly proxy: TcpProxy
  readonly #place: SentinelPlace

  private constructor(place: SentinelPlace, proxy: TcpProxy) {
    super('sentinel', place.folder)
    this.#place = place
    this.port = place.port
    this.proxy = proxy
  }

  static async start(options: SentinelServerOptions): Promise<SentinelServer> {
    const { binary, onDeath } = options
    await using undo = new AsyncDisposableStack()
    const folder = undo.use(await openServerFolder(undefined))
    const port = await freePort()
    const proxy = undo.use(await TcpProxy.start(port))
    const sentinel = new SentinelServer({ folder, port, command: binary.command, onDeath }, proxy)
    await writeFile(sentinel.#configuration, sentinelText(sentinel, options))
    await sentinel.start(options.signal)
    undo.move()
    return sentinel
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async masterPort(): Promise<number> {
    const address = await this.#ask('GET-MASTER-ADDR-BY-NAME')
    return Number((address as string[])[1])
  }

  /** Waits until it knows all replicas and enough other sentinels for a failover. */
  async untilComplete(replicas: number): Promise<void> {
    const isComplete = async () => {
      const known = (await this.#ask('REPLICAS')) as unknown[]
      const others = (await this.#ask('SENTINELS')) as unknown[]
      return known.length === replicas && others.length === SENTINELS - 1
    }
    await waitUntil('the sentinel knows the others', isComplete, { timeoutMs: START_TIMEOUT_MS, everyMs: 100 })
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await super[Symbol.asyncDispose]()
    await this.proxy[Symbol.asyncDispose]()
  }

  protected override async prepare(): Promise<ChildSpec> {
    return {
      name: this.name,
      command: this.#place.command,
      args: [this.#configuration, '--sentinel'],
      logFile: join(this.dir, 'sentinel.log'),
      ready: () => redisAnswers(this.url),
      readyTimeoutMs: START_TIMEOUT_MS,
      onDeath: this.#place.onDeath,
    }
  }

  async #ask(question: string): Promise<unknown> {
    return withRedis(this.url, (redis) => redis.call('SENTINEL', question, MASTER_NAME))
  }

  get #configuration(): string {
    return join(this.dir, 'sentinel.conf')
  }
}

function sentinelText(
  { port, proxy, dir }: SentinelServer,
  { binary, masterPort, downAfterMs }: SentinelServerOptions,
): string {
  return [
    settingsText({ ...comingFromInside(binary), port, dir, 'set-proc-title': 'no' }),
    // Otherwise it would announce the address from which it comes.
    'sentinel announce-ip 127.0.0.1\n',
    `sentinel announce-port ${proxy.port}\n`,
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${masterPort} ${QUORUM}\n`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfterMs}\n`,
    `sentinel failover-timeout ${MASTER_NAME} ${3 * downAfterMs}\n`,
  ].join('')
}
