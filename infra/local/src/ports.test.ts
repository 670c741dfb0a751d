import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { expect, test } from '@jest/globals'
import { freeClusterPort, freePort, isOpen } from './ports.ts'

async function listen(port: number): Promise<Server> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

test('a port can be listened on, and is below those of outgoing connections', async () => {
  for (const drawn of [0, 0.999_999]) {
    const port = await freePort(drawing(drawn, Math.random()))
    expect(port).toBeLessThan(32_768)
    const server = await listen(port)
    expect(await isOpen(port)).toBe(true)
    server.close()
  }
})

test('a port is not handed out twice, though nobody listens on it yet', async () => {
  const [drawn, next] = [Math.random(), Math.random()]
  const one = await freePort(drawing(drawn, drawn))
  expect(await freePort(drawing(drawn, next))).not.toBe(one)
})

test('a port that is listened on is passed over', async () => {
  const drawn = Math.random()
  const taken = await listen(20_000 + Math.floor(drawn * 12_000))
  expect(await freePort(drawing(drawn, Math.random()))).not.toBe((taken.address() as { port: number }).port)
  taken.close()
})

test('the second port of a cluster node is below those of outgoing connections, and nobody else is given it', async () => {
  const port = await freeClusterPort(drawing(0.999_999))
  expect(port + 10_000).toBeLessThan(32_768)
  const sameAsBus = (port + 10_000 - 20_000 + 0.5) / 12_000
  expect(await freePort(drawing(sameAsBus, Math.random()))).not.toBe(port + 10_000)
})

/** The given numbers, then random ones. */
function drawing(...numbers: number[]): () => number {
  return () => numbers.shift() ?? Math.random()
}
