import type { IncomingHttpHeaders } from 'node:http'
import type { Session } from '@tidemark/refill'
import type { FastifyReply } from 'fastify'

/** The session's token travels in this header, or in a cookie of the same name. */
export const SESSION_HEADER = 'tidemark-session'

const SESSION_COOKIE = new RegExp(`(?:^|;\\s*)${SESSION_HEADER}=([A-Za-z0-9_-]+)`)

/** The token of a request: the header's, because a client that sets it means it, else the cookie's. */
export function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const header = headers[SESSION_HEADER]
  if (typeof header === 'string') return header
  return SESSION_COOKIE.exec(headers.cookie ?? '')?.[1]
}

/** Hands the session back with an answer: what was seen in it counts as much as what was written. */
export function handBack(reply: FastifyReply, session: Session): void {
  const token = session.token()
  reply.header(SESSION_HEADER, token)
  reply.header('set-cookie', `${SESSION_HEADER}=${token}; Path=/; HttpOnly; SameSite=Lax`)
}
