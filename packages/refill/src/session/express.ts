import type { RequestHandler } from 'express'
import onHeaders from 'on-headers'
import { Carriage, type CarriageOptions, type SessionSource } from './carriage.ts'
import type { Session } from './session.ts'

export { type CarriageOptions, type CookieAttributes, SESSION_NAME } from './carriage.ts'

declare global {
  namespace Express {
    interface Request {
      /** The session that the request belongs to. */
      tidemark: Session
    }
  }
}

/**
 * Opens the session of each request at `req.tidemark`, and hands its token back with the head of the answer, be that
 * an error's. What the session does after the head has gone out is not carried, and is counted by an event.
 */
export function tidemarkSession(tidemark: SessionSource, options?: CarriageOptions): RequestHandler {
  const carriage = new Carriage(tidemark, options)
  return (req, res, next) => {
    let session: Session | null = null
    // Before the session is opened: a refusal varies by what it was asked with, too.
    onHeaders(res, () => {
      for (const [name, value] of carriage.answer(session, (field) => res.getHeader(field)?.toString())) {
        if (name === 'set-cookie') res.appendHeader(name, value)
        else res.setHeader(name, value)
      }
    })
    res.once('close', () => session?.end())
    session = carriage.open(req.headers)
    req.tidemark = session
    next()
  }
}
