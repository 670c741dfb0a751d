import { lsnOf, type Position, position } from '@tidemark/protocol'
import type { SessionSource } from '../session/carriage.ts'
import { Session } from '../session/session.ts'
import { decodeToken, encodeToken, type TokenKey, type TokenSeal, tokenInvalid } from '../session/token.ts'
import { UnreachablePool } from './scripted-pools.ts'

export const TOKEN_KEY: TokenKey = { id: 1, secret: 'a secret that has thirty-two bytes' }

/** Sessions that are signed as in an app, without its servers. */
export class ScriptedSessions implements SessionSource {
  readonly tokenMaxAgeMs = 3_600_000
  uncarried = 0
  readonly #seal: TokenSeal

  constructor(keys: readonly TokenKey[] = [TOKEN_KEY], source = 'shop') {
    this.#seal = { source, keys, maxAgeMs: this.tokenMaxAgeMs }
  }

  session(token?: string): Session {
    const read = (text: string) => {
      const content = decodeToken(text, this.#seal, Date.now())
      if (typeof content === 'string') throw tokenInvalid(content)
      return content
    }
    const host = {
      primary: new UnreachablePool(),
      standingStatement: 'standing',
      newestEpoch: async () => null,
      signToken: (content: Parameters<typeof encodeToken>[0]) => encodeToken(content, this.#seal, Date.now()),
      readToken: read,
      onUncarried: () => {
        this.uncarried++
      },
    }
    return new Session(host, token === undefined ? null : read(token))
  }

  /** The token of a session that saw as much. */
  tokenOf(lsn: bigint): string {
    const session = this.session()
    session.saw(at(lsn), null)
    return session.token()
  }

  /** How much the session of a token saw. */
  async seenIn(token: string): Promise<bigint> {
    const demand = await this.session(token).demand()
    return demand ? lsnOf(demand.seen) : 0n
  }
}

export function at(lsn: bigint): Position {
  return position(1, lsn)
}
