import { type ChildProcess, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'

/** What is to be cleared away when this process is gone. */
export interface Estate {
  readonly pids: readonly number[]
  readonly folders: readonly string[]
}

/**
 * Keeps a small process that outlives this one. It holds the reading end of a pipe, and only this process the
 * writing end; so however this one ends, `kill -9` included, the pipe closes, and the warden ends the servers and
 * removes the folders that were last named to it. Handlers of `exit` or of signals would miss the worst cases.
 */
class Warden {
  readonly #pids = new Set<number>()
  readonly #folders = new Set<string>()
  #process: ChildProcess | undefined

  addProcess(pid: number): void {
    this.#pids.add(pid)
    this.#tell()
  }

  removeProcess(pid: number): void {
    this.#pids.delete(pid)
    this.#tell()
  }

  addFolder(folder: string): void {
    this.#folders.add(folder)
    this.#tell()
  }

  removeFolder(folder: string): void {
    this.#folders.delete(folder)
    this.#tell()
  }

  #tell(): void {
    this.#process ??= startWarden()
    const estate: Estate = { pids: [...this.#pids], folders: [...this.#folders] }
    const pipe = this.#process.stdin as Writable
    pipe.write(`${JSON.stringify(estate)}\n`)
    if (estate.pids.length + estate.folders.length > 0) return
    pipe.end()
    this.#process = undefined
  }
}

function startWarden(): ChildProcess {
  const script = `${import.meta.dirname}/warden-process.ts`
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script], {
    // A group of its own: Ctrl-C must not reach it.
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
    cwd: '/',
    env: {},
  })
  child.on('error', (error) => process.emitWarning(`no warden, servers may outlive this process: ${error.message}`))
  child.stdin.on('error', () => undefined)
  child.unref()
  ;(child.stdin as Writable & { unref?: () => void }).unref?.()
  return child
}

export const warden = new Warden()
