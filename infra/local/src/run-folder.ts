import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { endLeftover } from './leftover.ts'
import { localFolder } from './local-folder.ts'
import { isAlive } from './process-table.ts'
import { warden } from './warden.ts'

/** Pids say nothing of a container that shares this checkout, or of the machine around it. */
const OF_THIS_HOST = `.${hostname()}-`

/** The data of one run: a fresh folder that goes away with the run, whichever way the run ends. */
export class RunFolder implements AsyncDisposable {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async create(root?: string): Promise<RunFolder> {
    const runs = join(root ?? (await localFolder()), 'run')
    await mkdir(runs, { recursive: true })
    await sweep(runs)
    const path = await mkdtemp(join(runs, `${process.pid}${OF_THIS_HOST}`))
    warden.addFolder(path)
    // mkdtemp closes it to all others, and Postgres may run as another user.
    await chmod(path, 0o755)
    return new RunFolder(path)
  }

  at(name: string): string {
    return join(this.path, name)
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 })
    warden.removeFolder(this.path)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }
}

/** Where one server keeps its things; disposed of, a folder that was given stays. */
export interface ServerFolder extends AsyncDisposable {
  readonly path: string
}

/** The folder that was given, or one of the server's own. */
export async function openServerFolder(given: string | undefined): Promise<ServerFolder> {
  if (given === undefined) return RunFolder.create()
  await mkdir(given, { recursive: true })
  return { path: given, [Symbol.asyncDispose]: async () => undefined }
}

/** Clears away the runs whose owner and warden are both gone, as after a power cut. */
async function sweep(runs: string): Promise<void> {
  for (const name of await readdir(runs)) {
    if (!name.includes(OF_THIS_HOST) || isAlive(Number.parseInt(name, 10))) continue
    const run = join(runs, name)
    for (const pidFile of await pidFilesBelow(run)) await endLeftover(pidFile, run)
    await rm(run, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function pidFilesBelow(run: string): Promise<string[]> {
  // Another run, or the warden, may be clearing it away at the same time.
  const entries = await readdir(run, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.filter((entry) => entry.name.endsWith('.log.pid')).map((entry) => join(entry.parentPath, entry.name))
}
