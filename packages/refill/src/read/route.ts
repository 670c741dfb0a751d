import { TidemarkError } from '@tidemark/protocol'
import { withDeadline } from '../deadline.ts'
import type { Inquiry, Wanted } from './inquiry.ts'
import type { KeyspaceScope } from './keyspace-scope.ts'

/** What another region is asked. */
export interface RouteRequest {
  readonly keyspace: string
  readonly params: unknown
  /** The session's token, to be followed there; undefined without a session. */
  readonly token: string | undefined
  readonly signal: AbortSignal
}

/** What it answers: read it there with `mayRoute: false`. */
export interface RouteAnswer {
  readonly value: unknown
  readonly freshness: 'fresh' | 'stale'
  /** The token of the session that read there. */
  readonly token?: string | undefined
}

/** The way to another region's endpoint: the app's own call. */
export interface Route {
  /** Names it: what it brings is `from: 'route:<name>'`. */
  readonly name: string
  ask(request: RouteRequest): Promise<RouteAnswer>
}

/** Requests that one process has under way: where one region can show nothing, the other is not to be flooded. */
const MAX_UNDER_WAY = 100

/** Asks another region what this one cannot show (contract `route`). What it answers is never cached. */
export class Router {
  readonly #route: Route
  readonly #routeMs: number
  #underWay = 0

  constructor(route: Route, routeMs: number) {
    this.#route = route
    this.#routeMs = routeMs
  }

  get from(): string {
    return `route:${this.#route.name}`
  }

  /** Throws what the app's call threw, DEADLINE_EXCEEDED, or the signal's reason. */
  async ask(scope: KeyspaceScope, { session, budget }: Inquiry, { params }: Wanted): Promise<RouteAnswer> {
    if (this.#underWay >= MAX_UNDER_WAY) throw new Error(`${MAX_UNDER_WAY} requests to another region are under way`)
    this.#underWay++
    try {
      const keyspace = scope.keyspace.name
      const answer = await withDeadline(
        (signal) => this.#route.ask({ keyspace, params, token: session?.token(), signal }),
        { ms: this.#routeMs, signal: budget.signal, who: this.from },
      )
      return this.#followed(session, answer)
    } finally {
      this.#underWay--
    }
  }

  /** What a session was handed there it must not read behind here. Without a token nobody knows what that was. */
  #followed(session: Inquiry['session'], answer: RouteAnswer): RouteAnswer {
    if (session === undefined) return answer
    if (answer.token === undefined) throw new TidemarkError('TOKEN_INVALID', `${this.from} answered without a token`)
    session.follow(answer.token)
    return answer
  }
}
