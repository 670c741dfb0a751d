import { readFile, rm } from 'node:fs/promises'
import { commandLine, isAlive, signalIfAlive } from './process-table.ts'
import { waitUntil } from './wait.ts'

const LEFTOVER_TIMEOUT_MS = 5_000

/**
 * Ends the process that an earlier run left behind, as its pid file names it. Pids are used again: only a process whose
 * command line mentions `folder` is taken for ours.
 */
export async function endLeftover(pidFile: string, folder: string): Promise<void> {
  const pid = await pidIn(pidFile)
  if (pid === undefined) return
  if (isAlive(pid) && (await commandLine(pid)).includes(folder)) await endAll([pid])
  await rm(pidFile, { force: true })
}

/** The first line of a pid file; Postgres writes more below it. */
async function pidIn(pidFile: string): Promise<number | undefined> {
  const text = await readFile(pidFile, 'utf8').catch(() => '')
  const pid = Number.parseInt(text, 10)
  return pid > 1 ? pid : undefined
}

/** Ends processes that are not our children: SIGINT, at which all of our servers stop cleanly, then SIGKILL. */
export async function endAll(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    signalIfAlive(pid, 'SIGCONT')
    signalIfAlive(pid, 'SIGINT')
  }
  const gone = () => !pids.some(isAlive)
  const inGoodOrder = waitUntil('leftover processes end', gone, { timeoutMs: LEFTOVER_TIMEOUT_MS })
  await inGoodOrder.catch(() => {
    for (const pid of pids) signalIfAlive(pid, 'SIGKILL')
  })
  await waitUntil(`leftover processes ${pids.join(', ')} are gone`, gone, { timeoutMs: LEFTOVER_TIMEOUT_MS })
}
