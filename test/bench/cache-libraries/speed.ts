import { setImmediate as nextTurn } from 'node:timers/promises'
import type { App, Library, Place } from './library.ts'
import { LoadCount } from './load-count.ts'

/** Rows that each case has for itself, so that none finds what another has cached. */
export const CASE_ROWS = {
  memory: { from: 1, count: 200 },
  redis: { from: 1_001, count: 4_000 },
  miss: { from: 6_001, count: 2_500 },
  stampede: { from: 9_001, count: 10 },
  stampedeOfFour: { from: 9_101, count: 10 },
} as const
const MEMORY_MS = 1_000
/** Longer than a beat: before the first one Tidemark keeps nothing. And each row is read so often at least. */
const WARM_UP_MS = 2_000
const WARM_UP_PASSES = 5
/** Of the rows of a case so many are read one after the other, and the rest by so many readers at once. */
const ALONE = 500
const READERS = 32
const HERD = 1_000
const APPS_IN_HERD = 4

export interface Rate extends Throughput {
  /** Of one read after the other. */
  readonly medianUs: number
}

/** Of many readers at once, or as fast as one reader goes where nobody waits for anything. */
export interface Throughput {
  readonly perSecond: number
  /** What the process itself takes for a read; it says more than the clock where others use the machine, too. */
  readonly cpuUs: number
}

export interface Herd {
  readonly ms: number
  /** For each cold key. */
  readonly loads: number
}

export interface Speed {
  /** Null for what keeps nothing in memory. */
  readonly memory: Throughput | null
  readonly redis: Rate
  readonly miss: Rate
  readonly herd: Herd
  readonly herdOfFour: Herd
}

export async function measureSpeed(library: Library, place: Place): Promise<Speed> {
  const loads = new LoadCount(place)
  await using first = await library.open(loads.place)
  for (const id of idsOf('redis')) await first.get(id)
  // Opened only now: what is told to apps that are there may fill their memories.
  await using second = await library.open(loads.place)
  return {
    memory: library.hasNoMemory ? null : await memoryRate(library, loads.place, first),
    // The second app has nothing in its memory; whatever it finds is in Redis.
    redis: await loads.none(() => rateOf(second, idsOf('redis'))),
    miss: await rateOf(first, idsOf('miss')),
    herd: await herdOf([first], idsOf('stampede'), loads),
    herdOfFour: await herdOfFour(library, loads),
  }
}

async function memoryRate(library: Library, place: Place, app: App): Promise<Throughput> {
  if (!library.openInMemory) return memoryReads(app)
  await using inMemory = await library.openInMemory(place)
  return await memoryReads(inMemory)
}

/** Reads that are answered without a turn of the event loop would hold it up: one is let by now and then. */
async function memoryReads(app: App): Promise<Throughput> {
  const ids = idsOf('memory')
  const readAll = async () => {
    for (const id of ids) await app.get(id)
    await nextTurn()
  }
  const warmAt = performance.now() + WARM_UP_MS
  for (let pass = 0; pass < WARM_UP_PASSES || performance.now() < warmAt; pass++) await readAll()
  const spent = new Spent()
  const end = performance.now() + MEMORY_MS
  let reads = 0
  for (; performance.now() < end; reads += ids.length) await readAll()
  return spent.over(reads)
}

/** Time and processor since it was made. */
class Spent {
  readonly #begin = performance.now()
  readonly #cpu = process.cpuUsage()

  over(reads: number): Throughput {
    const { user, system } = process.cpuUsage(this.#cpu)
    return { perSecond: (reads * 1_000) / (performance.now() - this.#begin), cpuUs: (user + system) / reads }
  }
}

async function rateOf(app: App, ids: readonly number[]): Promise<Rate> {
  const times: number[] = []
  for (const id of ids.slice(0, ALONE)) {
    const begin = performance.now()
    await app.get(id)
    times.push(performance.now() - begin)
  }
  const rest = ids.slice(ALONE)
  const spent = new Spent()
  let next = 0
  const reader = async () => {
    while (next < rest.length) await app.get(rest[next++]!)
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  return { medianUs: median(times) * 1_000, ...spent.over(rest.length) }
}

async function herdOfFour(library: Library, loads: LoadCount): Promise<Herd> {
  await using stack = new AsyncDisposableStack()
  const apps: App[] = []
  for (let i = 0; i < APPS_IN_HERD; i++) apps.push(stack.use(await library.open(loads.place)))
  return await herdOf(apps, idsOf('stampedeOfFour'), loads)
}

/** All readers ask for the same cold key in the same turn; a key after the other. */
async function herdOf(apps: readonly App[], ids: readonly number[], loads: LoadCount): Promise<Herd> {
  const times: number[] = []
  const before = loads.count
  for (const id of ids) {
    const begin = performance.now()
    await Promise.all(Array.from({ length: HERD }, (_, reader) => apps[reader % apps.length]!.get(id)))
    times.push(performance.now() - begin)
  }
  return { ms: median(times), loads: (loads.count - before) / ids.length }
}

function idsOf(name: keyof typeof CASE_ROWS): number[] {
  const { from, count } = CASE_ROWS[name]
  return Array.from({ length: count }, (_, i) => from + i)
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
