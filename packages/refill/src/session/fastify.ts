import type { FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { Carriage, type CarriageOptions, type SessionSource } from './carriage.ts'
import type { Session } from './session.ts'

export { type CarriageOptions, type CookieAttributes, SESSION_NAME } from './carriage.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The session that the request belongs to. */
    tidemark: Session
  }
}

export interface TidemarkSessionOptions extends CarriageOptions {
  readonly tidemark: SessionSource
}

const register: FastifyPluginAsync<TidemarkSessionOptions> = async (app, { tidemark, ...options }) => {
  const carriage = new Carriage(tidemark, options)
  const sessions = new WeakMap<object, Session>()
  app.decorateRequest('tidemark', {
    getter() {
      return sessions.get(this)!
    },
  })
  app.addHook('onRequest', async (request, reply) => {
    const session = carriage.open(request.headers)
    sessions.set(request, session)
    reply.raw.once('close', () => session.end())
  })
  app.addHook('onSend', async (request, reply) => {
    // A request that was refused before it got here has no session.
    const session = sessions.get(request) ?? null
    for (const [name, value] of carriage.answer(session, (field) => reply.getHeader(field)?.toString())) {
      reply.header(name, value) // which adds to `set-cookie`, and to no other
    }
  })
}

/**
 * Opens the session of each request at `request.tidemark`, and hands its token back with the head of the answer, be
 * that an error's. What the session does after the head has gone out is not carried, and is counted by an event.
 */
export const tidemarkSession = fastifyPlugin(register, { fastify: '5.x', name: '@tidemark/refill' })
