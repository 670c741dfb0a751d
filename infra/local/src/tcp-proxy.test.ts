import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { type Direction, TcpProxy } from './tcp-proxy.ts'
import { waitUntil } from './wait.ts'

const IN_TIME = { timeoutMs: 10_000, everyMs: 5 }

/** One end of a connection, and what it has heard. */
class End {
  readonly socket: Socket
  readonly #heard: Buffer[] = []
  failed: string | undefined
  ended = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes) => this.#heard.push(bytes))
    socket.on('error', (error) => {
      this.failed = (error as NodeJS.ErrnoException).code
    })
    socket.on('end', () => {
      this.ended = true
    })
  }

  get heard(): Buffer {
    return Buffer.concat(this.#heard)
  }

  async hears(text: string): Promise<void> {
    await waitUntil(`${text} is heard`, () => String(this.heard) === text, IN_TIME)
  }

  get connected(): boolean {
    return !this.socket.destroyed && !this.ended && this.failed === undefined
  }
}

const accepted: End[] = []
const server = createServer({ allowHalfOpen: true }, (socket) => accepted.push(new End(socket)))
const clients: End[] = []
let proxy: TcpProxy

beforeEach(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  proxy = await TcpProxy.start((server.address() as AddressInfo).port)
})

afterEach(async () => {
  for (const end of [...clients.splice(0), ...accepted.splice(0)]) end.socket.destroy()
  await proxy[Symbol.asyncDispose]()
  server.close()
})

async function connected(localAddress = '127.0.0.1'): Promise<End> {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, localAddress, allowHalfOpen: true })
  clients.push(new End(socket))
  await once(socket, 'connect')
  return clients.at(-1)!
}

async function pair(): Promise<{ client: End; serverEnd: End }> {
  const client = await connected()
  await waitUntil('the server has it', () => accepted.length === clients.length, IN_TIME)
  return { client, serverEnd: accepted.at(-1)! }
}

test('it forwards both ways, and each side its own end', async () => {
  const { client, serverEnd } = await pair()
  client.socket.end('question')
  await serverEnd.hears('question')
  await waitUntil('the server knows that the client has finished', () => serverEnd.ended, IN_TIME)
  serverEnd.socket.end('answer')
  await client.hears('answer')
  await waitUntil('the connection is over', () => proxy.connections === 0, IN_TIME)
})

const SILENT_WAYS: [Direction, Direction][] = [
  ['to-server', 'to-client'],
  ['to-client', 'to-server'],
]

test.each(SILENT_WAYS)('silent %s, it forwards %s alone, until it is restored', async (silent) => {
  const { client, serverEnd } = await pair()
  proxy.silence({ directions: [silent] })
  const [deaf, hearing] = silent === 'to-client' ? [client, serverEnd] : [serverEnd, client]
  hearing.socket.write('lost?')
  deaf.socket.write('heard')
  await hearing.hears('heard')
  expect(String(deaf.heard)).toBe('')
  await proxy.restore()
  await deaf.hears('lost?')
})

test('one address can be cut off, and others are served', async () => {
  const [here, elsewhere] = [await connected(), await connected('127.0.0.2')]
  await waitUntil('the server has both', () => accepted.length === 2, IN_TIME)
  proxy.silence({ from: '127.0.0.2' })
  elsewhere.socket.write('lost?')
  const [later, laterElsewhere] = [await connected(), await connected('127.0.0.2')]
  laterElsewhere.socket.write('lost?')
  for (const end of [here, later]) end.socket.write('heard')
  await waitUntil(
    'the server hears',
    () => accepted.filter(({ heard }) => String(heard) === 'heard').length === 2,
    IN_TIME,
  )
  expect(accepted.filter(({ heard }) => heard.length > 0)).toHaveLength(2)
})

test('a side that gives up a silent connection is not told on', async () => {
  const { client, serverEnd } = await pair()
  proxy.silence()
  client.socket.resetAndDestroy()
  const other = await connected()
  other.socket.write('nobody is there')
  expect({ connected: serverEnd.connected, accepted: accepted.length }).toEqual({ connected: true, accepted: 1 })
  await proxy.restore()
  await waitUntil('the server hears of the end', () => !serverEnd.connected, IN_TIME)
  await waitUntil('the server hears of the other', () => String(accepted.at(-1)!.heard) === 'nobody is there', IN_TIME)
})

test('old connections can be forgotten, and new ones served', async () => {
  const { client, serverEnd } = await pair()
  proxy.silence({ newConnections: 'forwarded' })
  client.socket.write('lost')
  const young = await pair()
  young.client.socket.write('heard')
  await young.serverEnd.hears('heard')
  expect(String(serverEnd.heard)).toBe('')
})

test('what it holds while it is silent is bounded: the sender is stopped', async () => {
  const { client, serverEnd } = await pair()
  proxy.silence()
  const chunk = Buffer.alloc(1024 * 1024)
  for (let i = 0; i < CHUNKS; i++) client.socket.write(chunk)
  let left = -1
  const stands = () => {
    const stood = client.socket.writableLength === left
    left = client.socket.writableLength
    return stood
  }
  await waitUntil('nothing more is taken', stands, { ...IN_TIME, everyMs: 100 })
  expect(left).toBeGreaterThan((CHUNKS * chunk.length) / 2)
  await proxy.restore()
  client.socket.end()
  await waitUntil('it is all through', () => serverEnd.ended, IN_TIME)
  expect(serverEnd.heard.length).toBe(CHUNKS * chunk.length)
})

/** Of a megabyte each; the kernel's buffers take a few. */
const CHUNKS = 32

test('cut, both sides are reset, also when it was silent', async () => {
  const { client, serverEnd } = await pair()
  proxy.silence()
  proxy.cut()
  await waitUntil('both know', () => !client.connected && !serverEnd.connected, IN_TIME)
  expect([client.failed, serverEnd.failed]).toEqual(['ECONNRESET', 'ECONNRESET'])
})

test('refusing, it takes no new connection and keeps the old ones', async () => {
  const { client, serverEnd } = await pair()
  proxy.refuse()
  await expect(connected()).rejects.toThrow('ECONNREFUSED')
  clients.pop()
  client.socket.write('still here')
  await serverEnd.hears('still here')
  await proxy.restore()
  await pair()
})

test('a slow line takes the time that its bandwidth says', async () => {
  const { client, serverEnd } = await pair()
  proxy.slow({ bytesPerSecond: 10_000, delayMs: 20 })
  const startedMs = performance.now()
  client.socket.write(Buffer.alloc(2_000))
  await waitUntil('it is through', () => serverEnd.heard.length === 2_000, IN_TIME)
  expect(performance.now() - startedMs).toBeGreaterThan(190)
})

test('a server that is down resets the client, and one that is up again is reached', async () => {
  const { port } = server.address() as AddressInfo
  server.close()
  const refused = await connected()
  await waitUntil('the client knows', () => !refused.connected, IN_TIME)
  clients.pop()
  await once(server.listen(port, '127.0.0.1'), 'listening')
  await pair()
})
