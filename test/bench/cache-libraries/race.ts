import { setTimeout as sleep } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { App, Library, Place } from './library.ts'

/** Each row is written a few times in a row, while readers ask for it, and then never again. */
export const RACE_ROWS = { from: 10_001, count: 400 }
const LANES = 4
const READERS_OF_A_ROW = 4
const WRITES_OF_A_ROW = 3
const BETWEEN_WRITES_MS = 5
/** For what a library sends to its other apps by its bus. */
const QUIET_MS = 1_000

export interface Race {
  readonly rows: number
  readonly reads: number
  /** Reads that began after a write's COMMIT had returned, and lacked it. */
  readonly lateReads: number
  /** The longest time after a COMMIT at which such a read began, in ms. */
  readonly latestMs: number
  /** When nobody writes any more: rows of which Redis holds an older value, and of which some app has one in its memory. */
  readonly staleInRedis: number
  readonly staleInSomeApp: number
}

/** Two apps that read and write the same rows; what is left behind is read by them, and by one that was not there. */
export async function race(library: Library, place: Place): Promise<Race> {
  await using one = await library.open(place)
  await using other = await library.open(place)
  const ids = Array.from({ length: RACE_ROWS.count }, (_, i) => RACE_ROWS.from + i)
  const tally = new Tally()
  const lane = async (n: number) => {
    for (const id of ids.filter((_, i) => i % LANES === n)) await contend(id, [one, other], place.primary, tally)
  }
  await Promise.all(Array.from({ length: LANES }, (_, n) => lane(n)))
  await quiet(library, place)
  const rows = await rowsIn(place.primary, ids)
  await using witness = await library.open(place)
  const inRedis = await staleRows(witness, rows)
  const inApps = new Set([...(await staleRows(one, rows)), ...(await staleRows(other, rows))])
  const { reads, lateReads, latestMs } = tally
  return { rows: ids.length, reads, lateReads, latestMs, staleInRedis: inRedis.length, staleInSomeApp: inApps.size }
}

class Tally {
  reads = 0
  lateReads = 0
  latestMs = 0
}

async function contend(id: number, apps: readonly [App, App], primary: Pool, tally: Tally): Promise<void> {
  let committed = { n: 0, at: performance.now() }
  let isWritten = true
  const reader = async (app: App) => {
    while (isWritten) {
      const { n, at } = committed
      const beganMs = performance.now() - at
      const row = await app.get(id)
      tally.reads++
      if (row.n < n) {
        tally.lateReads++
        tally.latestMs = Math.max(tally.latestMs, beganMs)
      }
      await new Promise(setImmediate)
    }
  }
  const readers = Array.from({ length: READERS_OF_A_ROW }, (_, i) => reader(apps[i % 2]!))
  const writer = async () => {
    for (let n = 1; n <= WRITES_OF_A_ROW; n++) {
      await primary.query('update hot set n = $2 where id = $1', [id, n])
      committed = { n, at: performance.now() }
      await apps[n % 2]!.written(id)
      await sleep(BETWEEN_WRITES_MS)
    }
  }
  await Promise.all([writer().finally(() => (isWritten = false)), ...readers])
}

/** The replica has everything, and so has every app that was to be told. */
async function quiet(library: Library, place: Place): Promise<void> {
  await library.toldOfWrites?.(place)
  await sleep(QUIET_MS)
}

async function rowsIn(primary: Pool, ids: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const { rows } = await primary.query<{ id: number; n: string }>('select id, n from hot where id = any($1)', [ids])
  return new Map(rows.map(({ id, n }) => [id, Number(n)]))
}

async function staleRows(app: App, rows: ReadonlyMap<number, number>): Promise<number[]> {
  const stale: number[] = []
  for (const [id, n] of rows) if ((await app.get(id)).n !== n) stale.push(id)
  return stale
}
