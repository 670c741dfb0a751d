import { createServer } from 'node:net'
import { expect, test } from '@jest/globals'
import { freePort } from './ports.ts'

test('a port is free, below those of outgoing connections, and not handed out twice', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()))
  expect(new Set(ports).size).toBe(50)
  for (const port of ports) expect(port).toBeLessThan(32_768)
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>()
  const server = createServer().once('error', reject)
  server.listen(ports[0], '127.0.0.1', resolve)
  await listening
  server.close()
})
