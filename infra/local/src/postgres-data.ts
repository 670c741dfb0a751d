import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Account, canEnter } from './account.ts'
import { cached } from './cache.ts'
import { LocalServerError } from './errors.ts'
import { postgresBinaries } from './postgres-binaries.ts'

const run = promisify(execFile)

export const SUPERUSER = 'tidemark'

/** Name of a setting to its value, as in postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string | number | boolean>>

/** A data folder: everything in it belongs to the account that runs Postgres, and is closed to all others. */
export class PostgresData {
  readonly path: string
  readonly account: Account | undefined

  constructor(path: string, account: Account | undefined) {
    this.path = path
    this.account = account
  }

  async isInitialised(): Promise<boolean> {
    return stat(join(this.path, 'PG_VERSION')).then(
      () => true,
      () => false,
    )
  }

  /** An empty folder that Postgres accepts. */
  async create(): Promise<void> {
    await mkdir(this.path, { recursive: true })
    if (this.account) await chown(this.path, this.account.uid, this.account.gid)
    await chmod(this.path, 0o700)
    if (canEnter(this.account, this.path)) return
    throw new LocalServerError(
      'FOLDER_CLOSED',
      `the account that runs Postgres can't enter ${this.path}: open its parents`,
    )
  }

  /**
   * Makes it a new database cluster. initdb takes a while, so it runs once and its result is copied from then on; but the
   * copies share one system identifier.
   */
  async initialise({ ownIdentity = false }: { readonly ownIdentity?: boolean }): Promise<void> {
    // Under another name until it is complete: a start that breaks off must not leave half a cluster to the next one.
    const unfinished = new PostgresData(`${this.path}.unfinished`, this.account)
    await rm(unfinished.path, { recursive: true, force: true })
    await unfinished.create()
    if (ownIdentity) await initdb(unfinished)
    else await unfinished.#copyTemplate()
    await rename(unfinished.path, this.path)
  }

  async #copyTemplate(): Promise<void> {
    const { version } = await postgresBinaries(this.account)
    const uid = this.account?.uid ?? process.getuid?.()
    const template = await cached(`postgres-${version}-uid${uid}`, async (folder) => {
      const data = new PostgresData(join(folder, 'data'), this.account)
      await data.create()
      await initdb(data)
    })
    await run('cp', ['-R', `${template}/data/.`, this.path], { ...this.account, cwd: '/' })
  }

  /**
   * Writes the server's settings to a file of their own that postgresql.conf includes. Not onto the command line: there
   * they would beat ALTER SYSTEM, with which a setting is changed while the server runs.
   */
  async writeSettings(settings: PostgresSettings): Promise<void> {
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoted(value)}\n`)
    await this.write('tidemark.conf', lines.join(''))
    await this.write('postgresql.conf', "include 'tidemark.conf'\n")
  }

  /** Makes it a standby that starts from a backup. */
  async markStandby(backupLabel: string): Promise<void> {
    // What ALTER SYSTEM has set on the primary is the primary's own: promoted, this one must not wait for its standbys.
    await this.write('postgresql.auto.conf', '')
    await this.write('backup_label', backupLabel)
    await this.write('standby.signal', '')
  }

  async write(name: string, text: string): Promise<void> {
    const file = join(this.path, name)
    await writeFile(file, text, { mode: 0o600 })
    if (this.account) await chown(file, this.account.uid, this.account.gid)
  }
}

async function initdb({ path, account }: PostgresData): Promise<void> {
  const { initdb: command, version, env } = await postgresBinaries(account)
  // Sorted by code point, the same on every machine. The builtin provider, which also knows letters, came with 17.
  const builtin = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const locale = ['--encoding=UTF8', '--locale=C', ...(Number.parseInt(version, 10) >= 17 ? builtin : [])]
  // `trust`: whoever can reach the loopback is let in.
  const args = ['-D', path, '-U', SUPERUSER, '--auth=trust', '--no-sync', '--no-instructions', ...locale]
  await run(command, args, { ...account, env, cwd: '/' })
}

function quoted(value: string | number | boolean): string {
  return `'${String(value).replaceAll("'", "''")}'`
}
