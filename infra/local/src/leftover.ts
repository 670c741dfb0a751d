import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { waitUntil } from './wait.ts'

const LEFTOVER_TIMEOUT_MS = 5_000

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: there is one, of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
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

/**
 * Ends the process that an earlier run left behind, as its pid file names it. Pids are used again: only a process whose
 * command line mentions `folder` is taken for ours.
 */
export async function endLeftover(pidFile: string, folder: string): Promise<void> {
  const pid = await pidIn(pidFile)
  if (pid === undefined) return
  if (isAlive(pid) && (await commandLine(pid)).includes(folder)) await end(pid)
  await rm(pidFile, { force: true })
}

async function end(pid: number): Promise<void> {
  signalIfAlive(pid, 'SIGCONT')
  signalIfAlive(pid, 'SIGINT')
  const gone = () => !isAlive(pid)
  await waitUntil(`leftover process ${pid} ends`, gone, { timeoutMs: LEFTOVER_TIMEOUT_MS }).catch(() =>
    signalIfAlive(pid, 'SIGKILL'),
  )
  await waitUntil(`leftover process ${pid} is gone`, gone, { timeoutMs: LEFTOVER_TIMEOUT_MS })
}

/** The first line of a pid file; Postgres writes more below it. */
async function pidIn(pidFile: string): Promise<number | undefined> {
  const text = await readFile(pidFile, 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  return pid > 1 ? pid : undefined
}

async function commandLine(pid: number): Promise<string> {
  const fromProc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  if (fromProc !== undefined) return fromProc.replaceAll('\0', ' ')
  const listed = await promisify(execFile)('ps', ['-ww', '-o', 'args=', '-p', String(pid)]).catch(() => ({
    stdout: '',
  }))
  return listed.stdout
}
