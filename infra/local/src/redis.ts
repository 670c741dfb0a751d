import { appendFile, copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Redis } from 'ioredis'
import type { ChildSpec } from './child.ts'
import { freePort } from './ports.ts'
import { findRedis } from './redis-binary.ts'
import { redisAnswers, withRedis } from './redis-client.ts'
import { openServerFolder, type ServerFolder } from './run-folder.ts'
import type { ServerOptions } from './server-options.ts'
import { ServerProcess } from './server-process.ts'
import { waitUntil } from './wait.ts'

const START_TIMEOUT_MS = 15_000
const REWRITE_TIMEOUT_MS = 30_000

/** Name of a setting to its value, as in redis.conf; an empty string stays one: `save ""`. */
export type RedisSettings = Readonly<Record<string, string | number>>

export interface RedisOptions extends ServerOptions {
  /** What it is called in errors and messages, for instance its region. */
  readonly name?: string
  readonly settings?: RedisSettings
}

interface Place {
  readonly name: string
  readonly folder: ServerFolder
  readonly port: number
  readonly settings: RedisSettings
  readonly command: string
  readonly onDeath: ServerOptions['onDeath']
}

/** Nothing is written to disk unless the settings say so. */
const DEFAULT_SETTINGS: RedisSettings = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'no',
  dbfilename: 'dump.rdb',
  // Otherwise the command line that `ps` shows, by which a leftover is known, loses its arguments.
  'set-proc-title': 'no',
}

/** A Redis (or Valkey) of this machine. What it is told to keep by CONFIG REWRITE it keeps over a restart. */
export class RedisServer extends ServerProcess {
  readonly port: number
  readonly #place: Place

  private constructor(place: Place) {
    super(place.name, place.folder)
    this.#place = place
    this.port = place.port
  }

  /** Starts a server; in a folder that holds the data of one, with that data. */
  static async start(options: RedisOptions = {}): Promise<RedisServer> {
    const { command } = await findRedis(options)
    await using undo = new AsyncDisposableStack()
    const server = new RedisServer({
      name: options.name ? `redis ${options.name}` : 'redis',
      folder: undo.use(await openServerFolder(options.dir)),
      port: options.port ?? (await freePort()),
      settings: { ...DEFAULT_SETTINGS, ...options.settings },
      command,
      onDeath: options.onDeath,
    })
    options.onProgress?.(`${server.name}: starting on port ${server.port}`)
    await writeFile(
      server.#configuration,
      settingsText({ ...server.#place.settings, port: server.port, dir: server.#data }),
    )
    await server.start(options.signal)
    undo.move()
    return server
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Writes everything it holds at this moment to `file`. */
  async snapshotTo(file: string): Promise<void> {
    await withRedis(this.url, (client) => client.save())
    await copyFile(this.#dump, file)
    await this.#forgetDump()
  }

  /** Takes it back to a snapshot, as a failover to a replica that was behind does; it is restarted for that. */
  async restoreFrom(file: string): Promise<void> {
    await this.kill()
    await rm(this.#data, { recursive: true, force: true })
    await mkdir(this.#data, { recursive: true })
    await copyFile(file, this.#dump)
    // With appendonly on, a server reads its append-only files alone, and starts empty when there are none.
    const appends = this.#place.settings.appendonly === 'yes'
    if (appends) await appendFile(this.#configuration, 'appendonly no\n')
    await this.start()
    await this.#forgetDump()
    if (appends) await withRedis(this.url, switchToAppendOnly)
  }

  /** A server that does not save starts empty; a dump that lies about would be loaded. */
  async #forgetDump(): Promise<void> {
    if (this.#place.settings.save === '') await rm(this.#dump, { force: true })
  }

  get #data(): string {
    return join(this.dir, 'data')
  }

  get #dump(): string {
    return join(this.#data, String(this.#place.settings.dbfilename))
  }

  get #configuration(): string {
    return join(this.dir, 'redis.conf')
  }

  protected override async prepare(): Promise<ChildSpec> {
    await mkdir(this.#data, { recursive: true })
    return {
      name: this.name,
      command: this.#place.command,
      args: [this.#configuration],
      logFile: join(this.dir, 'redis.log'),
      ready: () => redisAnswers(this.url),
      readyTimeoutMs: START_TIMEOUT_MS,
      onDeath: this.#place.onDeath,
    }
  }
}

export function settingsText(settings: RedisSettings): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name} ${value === '' ? '""' : value}\n`)
  return lines.join('')
}

async function switchToAppendOnly(client: Redis): Promise<void> {
  await client.config('SET', 'appendonly', 'yes')
  const isWritten = async () =>
    /aof_rewrite_in_progress:0[\s\S]*aof_rewrite_scheduled:0/.test(await client.info('persistence'))
  await waitUntil('redis writes its append-only file', isWritten, { timeoutMs: REWRITE_TIMEOUT_MS })
  await client.config('REWRITE')
}
