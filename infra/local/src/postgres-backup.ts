import { chown, copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from 'pg'
import type { PostgresData } from './postgres-data.ts'

/** What a standby makes anew or must not inherit: see "Backing Up the Data Directory" in Postgres's manual. */
const LEFT_OUT_CONTENT = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])
const LEFT_OUT_FILE = /^(postmaster\.(pid|opts)|pg_internal\.init|pgsql_tmp.*|postgresql\.auto\.conf(\.tmp)?)$/

/** Read last: what it says must not be older than any other file of the copy. */
const CONTROL_FILE = 'pg_control'

/**
 * Copies the data folder of a running server, and returns the backup_label without which the copy is not consistent.
 * The WAL since the copy began is not in it: the standby streams that, from a slot that must have been made before.
 */
export async function hotBackup(session: Client, from: PostgresData, to: PostgresData): Promise<string> {
  await session.query('select pg_backup_start($1, fast => true)', ['tidemark'])
  await copyFolder(from.path, to.path, to)
  await copy(join(from.path, 'global', CONTROL_FILE), join(to.path, 'global', CONTROL_FILE), to)
  const { rows } = await session.query<{ labelfile: string }>(
    'select labelfile from pg_backup_stop(wait_for_archive => false)',
  )
  return rows[0]?.labelfile ?? ''
}

async function copyFolder(from: string, to: string, owner: PostgresData): Promise<void> {
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name)
    const target = join(to, entry.name)
    if (entry.isDirectory()) {
      await mkdir(target, { mode: 0o700 })
      await give(target, owner)
      if (!LEFT_OUT_CONTENT.has(entry.name)) await copyFolder(source, target, owner)
    } else if (entry.isFile() && entry.name !== CONTROL_FILE && !LEFT_OUT_FILE.test(entry.name)) {
      await copy(source, target, owner)
    }
  }
}

async function copy(source: string, target: string, owner: PostgresData): Promise<void> {
  try {
    await copyFile(source, target)
    await give(target, owner)
  } catch (error) {
    // A table dropped or rewritten meanwhile: the WAL replays that.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

async function give(path: string, { account }: PostgresData): Promise<void> {
  if (account) await chown(path, account.uid, account.gid)
}
