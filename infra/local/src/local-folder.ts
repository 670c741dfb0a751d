import { createHash } from 'node:crypto'
import { lstat, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { canEnter, postgresAccount } from './account.ts'
import { LocalServerError } from './errors.ts'

const projectFolder = resolve(import.meta.dirname, '../../..')

/**
 * Where caches and the data of runs live: `.local` in the project. Where root may not lend that folder to the account
 * that Postgres needs (a checkout below /root, say), a folder of the same purpose in the system's temporary folder.
 */
export async function localFolder(project: string = projectFolder): Promise<string> {
  const inProject = join(project, '.local')
  await mkdir(inProject, { recursive: true })
  const account = postgresAccount()
  if (!account || canEnter(account, inProject)) return inProject
  const ofProject = createHash('sha256').update(project).digest('hex').slice(0, 12)
  return ownFolder(join(tmpdir(), `tidemark-${ofProject}`))
}

/** In a folder that everybody may write to, a name that can be foreseen may have been taken by somebody else. */
async function ownFolder(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const { uid, mode } = await lstat(folder)
  const isDirectory = (mode & 0o170000) === 0o040000
  if (isDirectory && uid === process.getuid?.() && (mode & 0o022) === 0) return folder
  throw new LocalServerError(
    'FOLDER_CLOSED',
    `${folder} is there, and is not a folder that only this user may write to`,
  )
}
