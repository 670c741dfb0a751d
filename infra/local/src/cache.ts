import { chmod, mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { localFolder } from './local-folder.ts'
import { warden } from './warden.ts'

const filling = new Map<string, Promise<string>>()

/**
 * A folder that is filled once and then only read. It is filled under another name and renamed when complete, so
 * that a run never sees half of it; of two runs that fill it at once, the first to finish wins and both go on.
 */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(await localFolder(), 'cache', name)
  if (await exists(folder)) return folder
  const work = filling.get(folder) ?? fillFolder(folder, fill).finally(() => filling.delete(folder))
  filling.set(folder, work)
  return work
}

async function fillFolder(folder: string, fill: (folder: string) => Promise<void>): Promise<string> {
  await mkdir(dirname(folder), { recursive: true })
  const unfinished = await mkdtemp(`${folder}.unfinished-`)
  // mkdtemp closes it to all others, and Postgres may run as another user.
  await chmod(unfinished, 0o755)
  warden.addFolder(unfinished)
  try {
    await fill(unfinished)
    await rename(unfinished, folder).catch(async (error) => {
      if (!(await exists(folder))) throw error
    })
    return folder
  } finally {
    await rm(unfinished, { recursive: true, force: true })
    warden.removeFolder(unfinished)
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
