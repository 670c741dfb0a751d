import { expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import {
  covers,
  defineSource,
  isTidemarkError,
  join,
  type KeyValue,
  ORIGIN,
  type Position,
  type Version,
} from '@tidemark/protocol'
import fc from 'fast-check'
import { AnnouncedEpoch } from '../read/announced-epoch.ts'
import { Cache } from '../read/cache.ts'
import { Calls } from '../read/calls.ts'
import type { CacheHost } from '../read/keyspace-scope.ts'
import { Refreshes } from '../read/refreshes.ts'
import { demandOf } from '../session/demand.ts'
import type { Session } from '../session/session.ts'
import type { Connection } from '../sources/database.ts'
import { DEFAULT_PRIMARY_LIMIT } from '../sources/primary-limit.ts'
import { Sources } from '../sources/sources.ts'
import { SimulatedCells } from '../testing/simulated-cells.ts'
import { SimulatedShop, STANDING } from '../testing/simulated-shop.ts'
import { DEFAULT_TIMINGS } from '../timings.ts'
import { ValueCodec } from '../value/value-codec.ts'
import { type Snapshot, Snapshots } from './snapshot.ts'

const KEYS = [0, 1]
/** Nothing is too old: the shop's time is not this machine's. */
const NEVER = { maxStalenessMs: Number.MAX_SAFE_INTEGER }
const source = defineSource({
  name: 'shop',
  keyspaces: {
    all: { key: 'all:{id}', tables: {}, contract: { ...NEVER, staleIfErrorMs: 1_000, earlyRefresh: 0 } },
    // Its value is made of both rows.
    both: { key: 'both:{id}', tables: {}, contract: { ...NEVER, staleIfErrorMs: 1_000, earlyRefresh: 0 } },
    // Waives what the others promise.
    some: { key: 'some:{id}', tables: {}, contract: { ...NEVER, earlyRefresh: 0, session: { monotonicReads: false } } },
  },
})
const TIMINGS = { ...DEFAULT_TIMINGS, pollMs: 0, leaseWaitMs: 3, watermarkWaitMs: 3, replicaWaitMs: 1 }

type Value = readonly Version[]
type Taken = Snapshot & { readonly values: readonly Value[] }

/** One key of a snapshot, and the rows that its value is made of. */
interface Asked {
  readonly cache: Cache<{ readonly id: KeyValue }, Value>
  readonly id: number
  readonly keys: readonly number[]
}

/** What its writes and reads taught a session, as it is told, and as it really was. */
class Visitor {
  own: Position = ORIGIN
  seen: Position = ORIGIN
  readonly knows = KEYS.map(() => new Set<Version>())

  async demand(promised?: Parameters<typeof demandOf>[1]): Promise<Demand | null> {
    return demandOf(this, promised ?? { readYourWrites: true, monotonicReads: true })
  }

  saw(position: Position): void {
    this.seen = join(this.seen, position)
  }

  get session(): Session {
    return this as unknown as Session
  }
}

/** Snapshots of two rows in two partitions and three keyspaces at a simulated shop, among single reads and writes. */
class Takings {
  readonly shop: SimulatedShop
  readonly visitor = new Visitor()
  /** How often each way was taken. */
  readonly ways = new Map<string, number>()
  readonly #snapshots: Snapshots
  readonly #all: Asked
  readonly #both: Asked
  readonly #some: Asked
  /** All keys, as the transaction of the last load saw them. */
  #loaded: Value[] = []
  #fails = false

  constructor(tape: readonly number[]) {
    this.shop = new SimulatedShop(tape, KEYS.length)
    const host = hostAt(this.shop)
    this.#snapshots = new Snapshots(host)
    const load = (keys: readonly number[]) => ({ load: (db: Connection) => this.#load(db, keys) })
    const dependsOn = () => [{ keyspace: 'some', params: { id: 1 } }]
    const { all, both, some } = source.keyspaces
    this.#all = { cache: new Cache(host, all, load([0])), id: 0, keys: [0] }
    this.#both = { cache: new Cache(host, both, { ...load(KEYS), dependsOn }), id: 0, keys: KEYS }
    this.#some = { cache: new Cache(host, some, load([1])), id: 1, keys: [1] }
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      const choice = this.shop.next()
      this.#fails = false
      if (choice % 6 === 0) this.#write(choice % 2)
      else if (choice % 6 === 1) await this.#readOne(choice >> 4)
      else await this.#take(choice >> 4)
    }
  }

  #asked(choice: number): readonly Asked[] {
    const pair = [this.#all, this.#some]
    return [pair, pair, [this.#some, this.#both], [this.#both]][choice % 4]!
  }

  async #readOne(choice: number): Promise<void> {
    const { cache, id } = this.#asked(choice)[0]!
    await cache.read({ id }).catch(expectCoded)
  }

  async #load(db: Connection, keys: readonly number[]): Promise<Value> {
    if (this.#fails) throw new Error('the load fails')
    const rows: Value[] = []
    for (const key of KEYS) rows.push((await db.query<Version>('rows', [key])).rows)
    this.#loaded = rows
    return keys.flatMap((key) => rows[key]!)
  }

  #write(key: number): void {
    const { version, own } = this.shop.write(key)
    this.visitor.knows[key]!.add(version)
    this.visitor.own = join(this.visitor.own, own)
  }

  async #take(choice: number): Promise<void> {
    const isTooOld = choice % 2 === 0
    const isVisit = choice % 7 < 4
    this.#fails = choice % 5 < (isTooOld ? 4 : 1)
    const options = {
      ...(isTooOld && { maxStalenessMs: 1, whenUnprovable: 'serve-stale' as const }),
      ...(isVisit && { session: this.visitor.session }),
      ...(choice % 11 === 0 && { consistency: 'strong' as const }),
    }
    const asked = this.#asked(this.shop.next())
    const references = asked.map(({ cache, id }) => cache.at({ id }))
    const taken = (await this.#snapshots.read(references, options).catch(expectCoded)) as Taken | undefined
    if (!taken) return this.#count('refused')
    const how = taken.loaded === 0 ? 'redis' : taken.loaded < asked.length ? 'partly' : 'loaded'
    this.#count(`${how} ${taken.freshness}`)
    if (taken.position === null) this.#count('unlabelled')
    for (const [i, one] of asked.entries()) this.#expectOfInstant(taken, one, taken.values[i]!)
    if (isVisit) this.#expectKnown(taken, asked)
  }

  #expectOfInstant({ position, loaded }: Taken, { keys }: Asked, value: Value): void {
    if (loaded > 0) expect(value).toEqual(keys.flatMap((key) => this.#loaded[key]!))
    if (position === null) return
    const all = keys.flatMap((key) => this.shop.commitsTo(key))
    expect(value).toEqual(expect.arrayContaining(all.filter((v) => covers(position.low, v))))
    expect(value.filter((v) => !covers(position.high, v))).toEqual([])
    // From Redis alone it is so at all positions between.
    if (loaded === 0) expect(all.filter((v) => covers(position.high, v))).toEqual(value)
  }

  /** Of what is fresh, or not loaded: what a load brings as stale may be behind the session, and says so. */
  #expectKnown({ values, freshness, loaded }: Taken, asked: readonly Asked[]): void {
    const promised = asked.flatMap((one, i) => (one === this.#some ? [] : [{ ...one, value: values[i]! }]))
    for (const { keys, value } of freshness === 'fresh' || loaded === 0 ? promised : []) {
      this.#count(`in a session ${freshness}`)
      expect(value).toEqual(expect.arrayContaining(keys.flatMap((key) => [...this.visitor.knows[key]!])))
    }
    for (const version of values.flat()) {
      const key = KEYS.find((one) => this.shop.commitsTo(one).includes(version))!
      this.visitor.knows[key]!.add(version)
    }
  }

  #count(way: string): void {
    this.ways.set(way, (this.ways.get(way) ?? 0) + 1)
  }
}

function hostAt(shop: SimulatedShop): CacheHost {
  const cells = new SimulatedCells(shop, (key) => Number(key.at(-1)))
  const guards = KEYS.map((id) => cells.guardOf(`${id}`))
  return {
    ...{ source, region: 'here', timings: TIMINGS, memory: null, route: null },
    sources: new Sources({
      ...{ source: 'shop', region: 'here', primary: shop.primary(), statement: STANDING, timings: TIMINGS },
      ...{ replicas: [{ name: 'replica', pool: shop.replica() }], primaryLimit: DEFAULT_PRIMARY_LIMIT },
    }),
    values: new ValueCodec({ maxValueBytes: 1_000_000 }),
    announced: new AnnouncedEpoch(),
    refreshes: new Refreshes(1),
    calls: new Calls(),
    guardOf: (key) => guards[Number(key.at(-1))]!,
  }
}

function expectCoded(error: unknown): void {
  if (!isTidemarkError(error)) throw error
  expect(['LOAD_FAILED', 'UNPROVABLE']).toContain(error.code)
}

/** A step of the shop. */
const TELL_OTHER_PARTITION = 24
const anyStep = fc.nat({ max: 0xfff0 })
/** Commits become visible and are told of more often than there are new ones, or no watermark would ever catch up. */
const steps = fc.oneof(
  { weight: 3, arbitrary: anyStep },
  ...[1, 6, 7].map((step) => ({ weight: 2, arbitrary: anyStep.map((n) => n - (n % 9) + step) })),
)

test('I7 for every history: a snapshot is what one transaction saw, at the position that it says, and holds what its session knows', async () => {
  const ways = new Map<string, number>()
  const tapes = fc.array(steps, { minLength: 500, maxLength: 1_000, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const takings = new Takings(tape)
      await takings.run()
      for (const [way, times] of takings.ways) ways.set(way, (ways.get(way) ?? 0) + times)
    }),
    { numRuns: 90 },
  )
  // A snapshot that loads all, or refuses, would pass otherwise.
  const least = ['redis fresh', 'redis stale', 'partly fresh', 'loaded fresh', 'unlabelled', 'refused']
  for (const way of [...least, 'in a session fresh', 'in a session stale']) {
    expect([way, (ways.get(way) ?? 0) > 0]).toEqual([way, true])
  }
}, 60_000)

test('what a load is the first to name as a dependency is covered by the next one, though nothing is cached', async () => {
  // The other partition is told of the write, and nobody looks there before the load.
  const shop = new SimulatedShop([0, 1, TELL_OTHER_PARTITION], KEYS.length)
  const { version } = shop.write(1)
  const host = hostAt(shop)
  const loads: Value[] = []
  const both = new Cache(host, source.keyspaces.both, {
    load: async (db) => {
      loads.push((await db.query<Version>('rows', [1])).rows)
      return loads.at(-1)!
    },
    dependsOn: () => [{ keyspace: 'some', params: { id: 1 } }],
  })
  const taken = await new Snapshots(host).read([both.at({ id: 0 })], { consistency: 'strong' })
  expect(taken).toMatchObject({ freshness: 'fresh', values: [[version]] })
  expect(covers(taken.position!.low, version)).toBe(true)
  expect(loads).toHaveLength(2)
})
