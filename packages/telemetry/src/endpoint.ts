import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TidemarkError } from '@tidemark/protocol'
import type { Health } from './health.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** The one HTTP server of a process that operators ask: `/metrics`, `/livez`, `/readyz`. */
export async function listenForProbes(options: {
  host: string
  port: number
  health: Health
  metrics: Handler
}): Promise<{ server: Server; port: number }> {
  const handlers = new Map<string, Handler>([
    ['/metrics', options.metrics],
    // An answer is the proof: a loop that is stuck gives none.
    ['/livez', (_, response) => answer(response, 200, { live: true })],
    [
      '/readyz',
      (_, response) => {
        const failing = options.health.failing()
        answer(response, failing.length === 0 ? 200 : 503, { ready: failing.length === 0, failing })
      },
    ],
  ])
  const server = createServer((request, response) => {
    const handler = handlers.get(request.url?.split('?', 1)[0] ?? '')
    if (request.method !== 'GET') answer(response, 405, { error: 'only GET' })
    else if (handler) handler(request, response)
    else answer(response, 404, { error: 'not found', paths: [...handlers.keys()] })
  })
  server.listen(options.port, options.host)
  try {
    await once(server, 'listening')
  } catch (cause) {
    throw new TidemarkError('SETTINGS_INVALID', `cannot listen on ${options.host}:${options.port}`, {
      mend: 'Give the telemetry endpoint a free port and an address of this machine',
      cause,
    })
  }
  return { server, port: (server.address() as AddressInfo).port }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)
}
