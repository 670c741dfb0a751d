import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the guard needs of a Redis client; ioredis' `Redis` and `Cluster` have it. */
export interface RedisClient {
  evalsha(sha1: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown>
  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown>
  mgetBuffer(...keys: string[]): Promise<(Buffer | null)[]>
  /** Whether partitions may be on servers of their own, and fail alone. */
  readonly isCluster?: boolean
}

const FOLDER = join(import.meta.dirname, 'commands')
const INCLUDE = /^-- @include (\w+)$/gm

/** A Lua command, loaded once from its file with what it includes. */
export class Script {
  readonly text: string
  readonly #sha1: string

  constructor(name: string) {
    const source = readFileSync(join(FOLDER, `${name}.lua`), 'utf8')
    this.text = source.replace(INCLUDE, (_, part) => readFileSync(join(FOLDER, 'include', `${part}.lua`), 'utf8'))
    this.#sha1 = createHash('sha1').update(this.text).digest('hex')
  }

  /**
   * Runs it by its hash, and by its text where the server does not know it: scripts are not replicated, so a
   * failover forgets them. Commands are idempotent or guarded by an id, so running one again is safe.
   */
  async run(redis: RedisClient, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown[]> {
    try {
      return (await redis.evalsha(this.#sha1, keys.length, ...keys, ...args)) as unknown[]
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return (await redis.eval(this.text, keys.length, ...keys, ...args)) as unknown[]
    }
  }
}
