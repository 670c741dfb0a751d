import type { IncomingHttpHeaders } from 'node:http'
import { isTidemarkError } from '@tidemark/protocol'
import { parseCookie, stringifySetCookie } from 'cookie'
import type { Session } from './session.ts'

/** The Tidemark whose sessions are carried. */
export interface SessionSource {
  session(token?: string): Session
  readonly tokenMaxAgeMs: number
}

export interface CookieAttributes {
  readonly name?: string
  /** False where the app is served without TLS; a browser sends a secure cookie over TLS alone. */
  readonly secure?: boolean
  readonly sameSite?: 'strict' | 'lax' | 'none'
  readonly path?: string
  /** So that regions with hosts of their own get it too: `shop.example` for `eu.shop.example`. */
  readonly domain?: string
}

export interface CarriageOptions {
  /** The header that carries tokens, both ways; false: none. */
  readonly header?: string | false
  /** The cookie that does; false: none. */
  readonly cookie?: CookieAttributes | false
  /**
   * What a request with a token that is forged, foreign, malformed or too old is answered. `ignore`, the default:
   * as one without. Who holds such a token in a cookie cannot mend it, and is not told more than anybody: a token only
   * ever asks for more. `refuse`: 400, for clients that would rather know that their session has ended.
   */
  readonly invalid?: 'ignore' | 'refuse'
}

/** The name of the header and of the cookie. */
export const SESSION_NAME = 'tidemark-session'

/** Most tokens of a header that are followed; each costs a signature. */
const MAX_TOKENS = 8

/** Header fields of an answer. `set-cookie` is one more of its kind; the others take the place of what was there. */
export type AnswerField = readonly ['set-cookie' | 'vary' | 'cache-control' | (string & {}), string]

/**
 * How a session travels with HTTP requests and answers; Express and Fastify differ in hooks alone.
 *
 * A cookie is what the answer that came last has set. Of two answers that cross, one may take back what the other
 * set; so a token is handed back only when it says more than the one that was brought.
 */
export class Carriage {
  readonly #source: SessionSource
  readonly #header: string | null
  readonly #cookie: (CookieAttributes & { readonly name: string }) | null
  readonly #refuses: boolean

  /** Throws TOKEN_INVALID when no keys were given to sign tokens with. */
  constructor(source: SessionSource, { header = SESSION_NAME, cookie = {}, invalid = 'ignore' }: CarriageOptions = {}) {
    source.session().token()
    this.#source = source
    this.#header = header === false ? null : header.toLowerCase()
    this.#cookie = cookie === false ? null : { name: SESSION_NAME, ...cookie }
    this.#refuses = invalid === 'refuse'
  }

  /**
   * The session of a request: all the tokens that it brings, joined.
   * Throws TOKEN_INVALID, with the `statusCode` 400 that both frameworks answer, when it is to be refused.
   */
  open(headers: IncomingHttpHeaders): Session {
    let session: Session | undefined
    for (const token of this.#tokensOf(headers)) {
      try {
        if (session) session.follow(token)
        else session = this.#source.session(token)
      } catch (error) {
        if (!isTidemarkError(error, 'TOKEN_INVALID')) throw error
        if (this.#refuses) throw Object.assign(error, { statusCode: 400 })
      }
    }
    return session ?? this.#source.session()
  }

  /**
   * What an answer has to say, whose head is about to go out.
   * @param current of a field, what the app has set
   */
  answer(session: Session | null, current: (name: string) => string | undefined): AnswerField[] {
    const fields: AnswerField[] = [['vary', joined(current('vary'), this.#variesBy())]]
    if (!session?.hasNews) return fields
    const token = session.token()
    fields.push(['cache-control', privately(current('cache-control'))])
    if (this.#header) fields.push([this.#header, token])
    if (this.#cookie) fields.push(['set-cookie', this.#setCookie(token)])
    return fields
  }

  #tokensOf(headers: IncomingHttpHeaders): string[] {
    const header = this.#header ? headers[this.#header] : undefined
    const cookie = this.#cookie && parseCookie(headers.cookie ?? '')[this.#cookie.name]
    // Node joins what comes in several fields of one name by commas.
    const tokens = String(header ?? '').split(',', MAX_TOKENS)
    return [...tokens, cookie ?? ''].map((token) => token.trim()).filter((token) => token !== '')
  }

  /** What was answered to who brought nothing must not be given, by a cache between, to who wrote. */
  #variesBy(): string[] {
    return [...(this.#header ? [this.#header] : []), ...(this.#cookie ? ['cookie'] : [])]
  }

  #setCookie(token: string): string {
    const { name, secure = true, sameSite = 'lax', path = '/', domain } = this.#cookie!
    const maxAge = Math.floor(this.#source.tokenMaxAgeMs / 1_000)
    return stringifySetCookie({
      name,
      value: token,
      httpOnly: true,
      secure,
      sameSite,
      path,
      maxAge,
      ...(domain !== undefined && { domain }),
    })
  }
}

function joined(current: string | undefined, names: readonly string[]): string {
  const there = (current ?? '').split(',').map((name) => name.trim().toLowerCase())
  const missing = there.includes('*') ? [] : names.filter((name) => !there.includes(name))
  return [...(current ? [current] : []), ...missing].join(', ')
}

/**
 * An answer with a token in it is one user's: a shared cache would hand the token on, and with it take another's back.
 * Where the app says nothing, no cache may serve it unasked either: only what comes from Tidemark is shown to be fresh.
 */
function privately(current: string | undefined): string {
  if (!current) return 'private, no-cache'
  const directives = current.split(',').map((directive) => directive.trim())
  if (directives.some((directive) => /^(?:no-store|private)$/i.test(directive))) return current
  return ['private', ...directives.filter((directive) => !/^(?:public$|s-maxage=)/i.test(directive))].join(', ')
}
