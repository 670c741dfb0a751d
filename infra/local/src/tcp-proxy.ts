import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './ports.ts'

export type Direction = 'to-server' | 'to-client'

export interface Silence {
  /** Where nothing gets through any more; both directions by default. */
  readonly directions?: readonly Direction[]
  /**
   * What becomes of connections that are made from now on: `swallowed` as well, like behind a pulled cable; or
   * `forwarded`, like behind a firewall that has forgotten the old ones.
   */
  readonly newConnections?: 'swallowed' | 'forwarded'
  /** The address whose connections alone are meant, like a network of which one part is cut off. */
  readonly from?: string
}

export interface Slowness {
  readonly bytesPerSecond: number
  readonly delayMs: number
}

const BOTH: readonly Direction[] = ['to-server', 'to-client']
const SILENT_NOWHERE: Silence = { directions: [] }

/**
 * A network between a client and a server of this machine, to be broken on purpose. Silent, it leaves connections
 * established and lets nothing through, not even their end: each side learns of it by its own watch or not at all.
 *
 * It holds one chunk a direction and connection, then stops reading: a sender notices what it would on a real network.
 */
export class TcpProxy implements AsyncDisposable {
  readonly port: number
  readonly #serverPort: number
  readonly #listener: Server
  readonly #connections = new Set<Connection>()
  #silence: Silence = SILENT_NOWHERE
  #slowness: Slowness | undefined

  private constructor(port: number, serverPort: number) {
    this.port = port
    this.#serverPort = serverPort
    // A side that has said goodbye may still be spoken to.
    this.#listener = createServer({ allowHalfOpen: true }, (client) => void this.#serve(client))
  }

  /** Listens on `port`, a free one by default, for a server of the loopback, which need not run yet. */
  static async start(serverPort: number, port?: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port ?? (await freePort()), serverPort)
    await proxy.#listen()
    return proxy
  }

  /** Connections that neither side nor `cut` has ended. */
  get connections(): number {
    return this.#connections.size
  }

  /** Lets nothing through in these directions, until `restore`. */
  silence(silence: Silence = {}): void {
    for (const connection of this.#connections) connection.silence(silence)
    if (silence.newConnections !== 'forwarded') this.#silence = silence
  }

  /** Makes every connection a bad line, those that are there and those to come. */
  slow(slowness: Slowness): void {
    this.#slowness = slowness
  }

  /** Resets every connection; new ones are served. */
  cut(): void {
    for (const connection of this.#connections) connection.reset()
  }

  /** New connections are refused; those that are there stay. */
  refuse(): void {
    this.#listener.close()
  }

  /** Everything gets through again, also what was held up meanwhile. */
  async restore(): Promise<void> {
    this.#silence = SILENT_NOWHERE
    this.#slowness = undefined
    for (const connection of this.#connections) connection.restore()
    if (!this.#listener.listening) await this.#listen()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse()
    this.cut()
    await Promise.all([...this.#connections].map((c) => c.ended))
  }

  async #listen(): Promise<void> {
    this.#listener.listen({ host: '127.0.0.1', port: this.port })
    await once(this.#listener, 'listening')
  }

  async #serve(client: Socket): Promise<void> {
    const connection = new Connection(client, this.#serverPort, this.#silence, () => this.#slowness)
    this.#connections.add(connection)
    await connection.ended
    this.#connections.delete(connection)
  }
}

/** A client's connection, and ours to the server in its name. */
class Connection {
  readonly #sockets: Socket[]
  readonly #from: string | undefined
  readonly #lanes: Readonly<Record<Direction, Lane>>
  readonly ended: Promise<unknown>

  constructor(client: Socket, serverPort: number, silence: Silence, slowness: () => Slowness | undefined) {
    this.#lanes = { 'to-server': new Lane(slowness), 'to-client': new Lane(slowness) }
    this.#sockets = [quiet(client)]
    this.#from = client.remoteAddress
    this.silence(silence)
    this.ended = this.#serve(client, serverPort)
  }

  silence({ directions = BOTH, from }: Silence): void {
    if (from !== undefined && from !== this.#from) return
    for (const direction of directions) this.#lanes[direction].close()
  }

  restore(): void {
    for (const direction of BOTH) this.#lanes[direction].open()
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
    this.restore()
  }

  async #serve(client: Socket, serverPort: number): Promise<void> {
    // While nothing gets through, the server does not even hear of it.
    await this.#lanes['to-server'].opened
    if (client.destroyed) return
    const server = quiet(connect({ host: '127.0.0.1', port: serverPort, allowHalfOpen: true }))
    this.#sockets.push(server)
    await Promise.all([this.#lanes['to-server'].run(client, server), this.#lanes['to-client'].run(server, client)])
  }
}

/** One direction of a connection. */
class Lane {
  readonly #slowness: () => Slowness | undefined
  #closed: PromiseWithResolvers<void> | undefined

  constructor(slowness: () => Slowness | undefined) {
    this.#slowness = slowness
  }

  get opened(): Promise<void> | undefined {
    return this.#closed?.promise
  }

  open(): void {
    this.#closed?.resolve()
    this.#closed = undefined
  }

  close(): void {
    this.#closed ??= Promise.withResolvers()
  }

  /** Forwards until `from` ends, then its end; both only while the lane is open. */
  async run(from: Socket, to: Socket): Promise<void> {
    const goodbye = await this.#forward(from, to).then(
      () => () => to.end(),
      () => () => to.resetAndDestroy(),
    )
    await this.opened
    goodbye()
  }

  async #forward(from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      for (let rest: Buffer = chunk; rest.length > 0; ) {
        const piece = await this.#pass(rest)
        await written(to, piece)
        rest = rest.subarray(piece.length)
      }
    }
  }

  /** Waits until something may go on. @returns how much of the bytes, from their start */
  async #pass(bytes: Buffer): Promise<Buffer> {
    const slowness = this.#slowness()
    if (slowness) await sleep(slowness.delayMs)
    await this.opened
    return slowness ? bytes.subarray(0, Math.ceil((slowness.bytesPerSecond * slowness.delayMs) / 1000)) : bytes
  }
}

async function written(to: Socket, bytes: Buffer): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  to.write(bytes, (error) => (error ? reject(error) : resolve()))
  await promise
}

/** Its errors show in what is read from it and written to it. */
function quiet(socket: Socket): Socket {
  return socket.on('error', () => undefined)
}
