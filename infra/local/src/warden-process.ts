import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { isAlive, signalIfAlive } from './leftover.ts'
import { waitUntil } from './wait.ts'
import type { Estate } from './warden.ts'

const GRACE_MS = 5_000

let estate: Estate = { pids: [], folders: [] }
for await (const line of createInterface({ input: process.stdin })) estate = JSON.parse(line) as Estate

// The pipe is closed: whoever started us is gone. All of our servers stop cleanly on SIGINT.
for (const pid of estate.pids) {
  signalIfAlive(pid, 'SIGCONT')
  signalIfAlive(pid, 'SIGINT')
}
const allGone = () => estate.pids.every((pid) => !isAlive(pid))
await waitUntil('servers end', allGone, { timeoutMs: GRACE_MS }).catch(() => undefined)
for (const pid of estate.pids) signalIfAlive(pid, 'SIGKILL')
await waitUntil('servers are gone', allGone, { timeoutMs: GRACE_MS }).catch(() => undefined)
for (const folder of estate.folders) await rm(folder, { recursive: true, force: true, maxRetries: 5 })
