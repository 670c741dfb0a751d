import { type Logger, redactUrls } from '@tidemark/service'
import { Cluster } from 'ioredis'
import { type RedisClient, type RedisClientOptions, redisClient } from './client.ts'
import { kindOf, redisError } from './redis-error.ts'
import type { RedisConnection } from './settings.ts'

/**
 * The Redis of one region: a server, the master that Sentinels name, or a cluster. Every command ends within a bound,
 * and what goes wrong is a RedisError that says its kind; NOSCRIPT alone is as Redis said it, for the guard answers it.
 */
export class RegionRedis {
  readonly #client: RedisClient
  readonly #log: Logger | undefined
  /** What went wrong with connections since the last answer: a command itself learns only that there is none. */
  #trouble: unknown

  constructor(connection: RedisConnection, options: RedisClientOptions & { readonly log?: Logger }) {
    this.#log = options.log
    this.#client = redisClient(connection, options)
    this.#client.on('error', (error: Error & { lastNodeError?: Error }) => this.#noted(error.lastNodeError ?? error))
    this.#client.on('node error', (error: Error) => this.#noted(error))
  }

  /** Runs a command, or a few that belong together. Throws RedisError. */
  async ask<T>(question: (client: RedisClient) => Promise<T>): Promise<T> {
    try {
      const answer = await question(this.#client)
      this.#trouble = undefined
      return answer
    } catch (error) {
      if (kindOf(error) === 'no-script') throw error
      throw redisError(error, { trouble: this.#trouble, isCluster: this.#client.isCluster })
    }
  }

  evalsha(sha1: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown> {
    return this.ask((client) => client.evalsha(sha1, numberOfKeys, ...args))
  }

  eval(script: string, numberOfKeys: number, ...args: (string | Buffer)[]): Promise<unknown> {
    return this.ask((client) => client.eval(script, numberOfKeys, ...args))
  }

  mgetBuffer(...keys: string[]): Promise<(Buffer | null)[]> {
    return this.ask((client) => client.mgetBuffer(...keys))
  }

  get isCluster(): boolean {
    return this.#client.isCluster
  }

  async ping(): Promise<void> {
    await this.ask((client) => client.ping())
  }

  close(): void {
    // Once it has ended, ioredis would leave a timer that keeps the process alive for a while.
    if (this.#client.status !== 'end') this.#client.disconnect()
  }

  #noted(error: Error): void {
    // Once: whoever sends a command learns of it too, and reports it with the outage's length.
    const level = this.#trouble === undefined ? 'info' : 'debug'
    this.#trouble = error
    this.#log?.[level]({ reason: redactUrls(error.message) }, 'Redis connection failed')
  }
}

/** The servers that take writes: one, or a master for each shard of a cluster. */
export function mastersOf(client: RedisClient): RedisClient[] {
  return client instanceof Cluster ? client.nodes('master') : [client]
}
