import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

/** Whether there is such a process, and it is not one that has ended and only waits to be buried. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: there is one, of another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  return !isZombie(pid)
}

/** Where nobody buries orphans, as in a container whose first process is no init, zombies stay for good. */
function isZombie(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // No /proc on this system, or the process is gone by now: either way not known to be one.
    return false
  }
}

/** Sends a signal to a process that may be gone already. */
export function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** The command line with its arguments, or nothing when the process is gone. */
export async function commandLine(pid: number): Promise<string> {
  const fromProc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  return fromProc?.replaceAll('\0', ' ') ?? ps('-ww', '-o', 'args=', '-p', String(pid))
}

export async function childrenOf(pid: number): Promise<number[]> {
  const fromProc = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => undefined)
  if (fromProc !== undefined) return fromProc.trim().split(' ').filter(Boolean).map(Number)
  const rows = (await ps('-A', '-o', 'pid=,ppid=')).split('\n').map((row) => row.trim().split(/\s+/).map(Number))
  return rows.flatMap(([child, parent]) => (parent === pid && child ? [child] : []))
}

/** `ps` fails when it finds no process; a system without it has /proc. */
async function ps(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('ps', args).catch(() => ({ stdout: '' }))
  return stdout
}
