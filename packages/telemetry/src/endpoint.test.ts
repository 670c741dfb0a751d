import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { Health } from './health.ts'
import { publisherMetrics } from './metrics.ts'
import { startTelemetry, type Telemetry } from './sdk.ts'

let telemetry: Telemetry
let health: Health

beforeEach(async () => {
  health = new Health()
  telemetry = await startTelemetry({ service: 'example', port: 0, health })
})
afterEach(() => telemetry.stop())

const ask = (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${telemetry.port}${path}`, init)

test('ready flips with its checks, and names each that fails, why and since when', async () => {
  const postgres = health.check('postgres')
  const kafka = health.check('kafka')
  postgres.pass()
  const before = await ask('/readyz')
  expect(before.status).toBe(503)
  expect(await before.json()).toEqual({
    ready: false,
    failing: [{ check: 'kafka', reason: 'has not passed yet', since: expect.stringMatching(/^\d{4}-.*Z$/) }],
  })
  kafka.pass()
  const ready = await ask('/readyz?probe=1')
  expect(ready.status).toBe(200)
  expect(await ready.json()).toEqual({ ready: true, failing: [] })
  postgres.fail('no answer for 5 s')
  const after = await ask('/readyz')
  expect(after.status).toBe(503)
  expect(await after.json()).toMatchObject({ failing: [{ check: 'postgres', reason: 'no answer for 5 s' }] })
})

test('a process that is not ready is alive', async () => {
  health.check('postgres')
  expect((await ask('/livez')).status).toBe(200)
})

test('a watch that throws makes its check fail, and does not end the process', async () => {
  health.watch('beat', () => {
    throw new Error('odd')
  })
  const response = await ask('/readyz')
  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({ failing: [{ check: 'beat', reason: 'the check itself failed: odd' }] })
})

test('another path is not found, and another method is refused', async () => {
  expect((await ask('/')).status).toBe(404)
  expect((await ask('/constructor')).status).toBe(404)
  expect((await ask('/readyz', { method: 'POST', body: '{}' })).status).toBe(405)
})

test('a port that is taken is a mistake in the settings', async () => {
  const taken = startTelemetry({ service: 'example', port: telemetry.port, health: new Health() })
  await expect(taken).rejects.toMatchObject({ code: 'SETTINGS_INVALID' })
})

test('nothing listens after it was stopped, and a client that never ends its request is cut off', async () => {
  const client = connect(telemetry.port, '127.0.0.1')
  client.on('error', () => undefined)
  try {
    await once(client, 'connect')
    client.write('GET /livez HTTP/1.1\r\n')
    await ask('/livez')
    await telemetry.stop()
    await once(client, 'close', { signal: AbortSignal.timeout(5_000) })
  } finally {
    client.destroy()
  }
  await expect(ask('/livez')).rejects.toThrow('fetch failed')
})

test('stopping waits no longer than its bound for a collector that does not answer', async () => {
  await telemetry.stop()
  const unanswered: ServerResponse[] = []
  const collector = createServer((_, response) => unanswered.push(response))
  await once(collector.listen(0, '127.0.0.1'), 'listening')
  process.env.OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
  try {
    telemetry = await startTelemetry({ service: 'example', port: 0, health })
    publisherMetrics({ keyspaces: ['product'], read: () => ({}) })
    const startedMs = performance.now()
    await telemetry.stop()
    expect(performance.now() - startedMs).toBeLessThan(8_000)
    expect(unanswered).toHaveLength(1)
  } finally {
    delete process.env.OTEL_EXPORTER_OTLP_ENDPOINT
    for (const response of unanswered) response.setHeader('connection', 'close').end()
    collector.close()
  }
})
