import { once } from 'node:events'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import { waitUntil } from '@tidemark/local'
import express from 'express'
import Fastify from 'fastify'
import { at, ScriptedSessions } from '../testing/scripted-sessions.ts'
import type { CarriageOptions } from './carriage.ts'
import { tidemarkSession as forExpress } from './express.ts'
import { tidemarkSession as forFastify } from './fastify.ts'
import type { Session } from './session.ts'

/** What an app does in a test: `more` is there for what comes after the head. */
type Handler = (session: Session, more: PassThrough, setCookie: (cookie: string) => unknown) => unknown

/** An app of one route, `/`, which answers what the handler returns, or what it throws. */
interface App extends AsyncDisposable {
  readonly url: string
}

type Opening = (sessions: ScriptedSessions, handler: Handler, options?: CarriageOptions) => Promise<App>

const openExpress: Opening = async (sessions, handler, options) => {
  const app = express()
  app.use(forExpress(sessions, options))
  app.get('/', async (req, res) => {
    const more = new PassThrough()
    const answer = await handler(req.tidemark, more, (cookie) => res.append('set-cookie', cookie))
    if (answer === 'stream') more.pipe(res)
    else res.json(answer)
  })
  app.use(((error, _req, res, _next) => {
    res.status(error.statusCode ?? 500).json({ message: error.message })
  }) satisfies express.ErrorRequestHandler)
  return listening(createServer(app))
}

const openFastify: Opening = async (sessions, handler, options) => {
  const app = Fastify()
  await app.register(forFastify, { tidemark: sessions, ...options })
  app.get('/', async (request, reply) => {
    const more = new PassThrough()
    const answer = await handler(request.tidemark, more, (cookie) => reply.header('set-cookie', cookie))
    return reply.send(answer === 'stream' ? more : answer)
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  return { url, [Symbol.asyncDispose]: () => app.close() }
}

async function listening(server: Server): Promise<App> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

const HEADER = 'tidemark-session'
const sees = (lsn: bigint) => (session: Session) => session.saw(at(lsn), null)

describe.each([
  ['Express', openExpress],
  ['Fastify', openFastify],
])('with %s', (_, open) => {
  test('a session goes from one request to the next, by header or by cookie', async () => {
    const sessions = new ScriptedSessions()
    await using app = await open(sessions, async (session) => {
      const before = (await session.demand())?.seen ?? null
      session.saw(at(0x5000n), null)
      return { before }
    })
    const first = await fetch(app.url)
    expect(await first.json()).toEqual({ before: null })
    const token = first.headers.get(HEADER)!
    const cookie = first.headers.getSetCookie()[0]!.split(';')[0]!
    for (const headers of [{ [HEADER]: token }, { cookie }])
      expect(await (await fetch(app.url, { headers })).json()).toEqual({ before: at(0x5000n) })
  })

  test('a session with nothing to carry is handed nothing, and the answer varies all the same', async () => {
    await using app = await open(new ScriptedSessions(), () => ({}))
    const { headers } = await fetch(app.url)
    expect([headers.get(HEADER), headers.getSetCookie(), headers.get('cache-control')]).toEqual([null, [], null])
    expect(headers.get('vary')).toContain('tidemark-session, cookie')
  })

  test('an error’s answer carries what was written before it: the client must not read behind its own write', async () => {
    const sessions = new ScriptedSessions()
    await using app = await open(sessions, (session) => {
      sees(0x5000n)(session)
      throw new Error('after the write')
    })
    const { status, headers } = await fetch(app.url)
    expect(status).toBe(500)
    expect(await sessions.seenIn(headers.get(HEADER)!)).toBe(0x5000n)
    expect(headers.get('cache-control')).toContain('private')
  })

  test('a token that is not believed is as none, and a new one takes its place', async () => {
    const sessions = new ScriptedSessions()
    await using app = await open(sessions, (session) => sees(0x5000n)(session) ?? {})
    const { status, headers } = await fetch(app.url, { headers: { cookie: `${HEADER}=${'A'.repeat(72)}` } })
    expect(status).toBe(200)
    expect(headers.getSetCookie()).toHaveLength(1)
  })

  test('a token that is not believed is refused where that is said, before the app is asked', async () => {
    let asked = 0
    await using app = await open(new ScriptedSessions(), () => ({ asked: ++asked }), { invalid: 'refuse' })
    const { status, headers } = await fetch(app.url, { headers: { [HEADER]: 'A'.repeat(72) } })
    expect([status, asked]).toEqual([400, 0])
    expect(headers.get('vary')).toContain(HEADER)
  })

  test('a streaming answer’s head carries what was seen before it; what comes after it is counted', async () => {
    const sessions = new ScriptedSessions()
    const { promise: streaming, resolve } = Promise.withResolvers<[Session, PassThrough]>()
    await using app = await open(sessions, (session, more) => {
      sees(0x5000n)(session)
      more.write('first')
      resolve([session, more])
      return 'stream'
    })
    const response = await fetch(app.url)
    expect(await sessions.seenIn(response.headers.get(HEADER)!)).toBe(0x5000n)
    const [session, more] = await streaming
    sees(0x6000n)(session)
    more.end('last')
    expect(await response.text()).toBe('firstlast')
    await waitUntil('what was not carried is told', () => sessions.uncarried === 1, { timeoutMs: 10_000 })
  })

  test('a client that leaves before the answer takes nothing with it, and that is counted', async () => {
    const sessions = new ScriptedSessions()
    const { promise: asked, resolve } = Promise.withResolvers<Session>()
    const { promise: left, resolve: leave } = Promise.withResolvers<void>()
    await using app = await open(sessions, async (session) => {
      resolve(session)
      await left
      return {}
    })
    const client = httpRequest(app.url).on('error', () => undefined)
    client.end()
    sees(0x5000n)(await asked)
    client.destroy()
    await waitUntil('it is told', () => sessions.uncarried === 1, { timeoutMs: 10_000 })
    leave()
  })

  test('a cookie that the app sets stays', async () => {
    await using app = await open(new ScriptedSessions(), (session, _, setCookie) => {
      sees(0x5000n)(session)
      setCookie('theme=dark')
      return {}
    })
    const names = (await fetch(app.url)).headers.getSetCookie().map((cookie) => cookie.split('=')[0])
    expect(names).toEqual(['theme', 'tidemark-session'])
  })
})
