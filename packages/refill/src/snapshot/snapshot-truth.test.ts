import { expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import { covers, defineSource, isTidemarkError, join, ORIGIN, type Position, type Version } from '@tidemark/protocol'
import fc from 'fast-check'
import { AnnouncedEpoch } from '../read/announced-epoch.ts'
import { Cache } from '../read/cache.ts'
import type { CacheHost } from '../read/keyspace-scope.ts'
import { Calls } from '../read/calls.ts'
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
    // Waives what the other keyspace promises.
    some: { key: 'some:{id}', tables: {}, contract: { ...NEVER, earlyRefresh: 0, session: { monotonicReads: false } } },
  },
})
const TIMINGS = { ...DEFAULT_TIMINGS, pollMs: 0, leaseWaitMs: 3, watermarkWaitMs: 3, replicaWaitMs: 1 }

type Value = readonly Version[]
type Taken = Snapshot & { readonly values: readonly Value[] }

/** What its writes and reads taught a session, as it is told, and as it really was. */
class Visitor {
  own: Position = ORIGIN
  seen: Position = ORIGIN
  readonly knows: Version[][] = KEYS.map(() => [])

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

/** Snapshots of two keys in two partitions and two keyspaces at a simulated shop, among single reads and writes. */
class Takings {
  readonly shop: SimulatedShop
  readonly visitor = new Visitor()
  /** How often each way was taken. */
  readonly ways = new Map<string, number>()
  readonly #snapshots: Snapshots
  readonly #caches
  /** All keys, as the transaction of the last load saw them. */
  #loaded: Value[] = []
  #fails = false

  constructor(tape: readonly number[]) {
    this.shop = new SimulatedShop(tape, KEYS.length)
    const host = hostAt(this.shop)
    this.#snapshots = new Snapshots(host)
    const load = (db: Connection, { id }: Readonly<Record<string, unknown>>) => this.#load(db, Number(id))
    this.#caches = [new Cache(host, source.keyspaces.all, { load }), new Cache(host, source.keyspaces.some, { load })]
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      const choice = this.shop.next()
      this.#fails = false
      if (choice % 6 === 0) this.#write(choice % 2)
      else if (choice % 6 === 1) await this.#caches[choice % 2]!.read({ id: choice % 2 }).catch(expectCoded)
      else await this.#take(choice >> 4)
    }
  }

  async #load(db: Connection, id: number): Promise<Value> {
    if (this.#fails) throw new Error('the load fails')
    const rows = []
    for (const key of KEYS) rows.push((await db.query<Version>('rows', [key])).rows)
    this.#loaded = rows
    return rows[id]!
  }

  #write(key: number): void {
    const { version, own } = this.shop.write(key)
    this.visitor.knows[key]!.push(version)
    this.visitor.own = join(this.visitor.own, own)
  }

  async #take(choice: number): Promise<void> {
    const isTooOld = choice % 3 === 0
    const isVisit = choice % 7 < 4
    this.#fails = choice % 5 < (isTooOld ? 4 : 1)
    const options = {
      ...(isTooOld && { maxStalenessMs: 1, whenUnprovable: 'serve-stale' as const }),
      ...(isVisit && { session: this.visitor.session }),
      ...(choice % 11 === 0 && { consistency: 'strong' as const }),
    }
    const references = KEYS.map((id) => this.#caches[id]!.at({ id }))
    const taken = (await this.#snapshots.read(references, options).catch(expectCoded)) as Taken | undefined
    if (!taken) return this.#count('refused')
    this.#count(`${taken.loaded === 0 ? 'redis' : taken.loaded === 1 ? 'partly' : 'loaded'} ${taken.freshness}`)
    if (taken.position === null) this.#count('unlabelled')
    this.#expectOneInstant(taken)
    if (isVisit) this.#expectKnown(taken)
  }

  #expectOneInstant({ values, position, loaded }: Taken): void {
    if (loaded > 0) expect(values).toEqual(this.#loaded)
    for (const key of KEYS) {
      if (position === null) continue
      const [all, value] = [this.shop.commitsTo(key), values[key]!]
      expect(value).toEqual(expect.arrayContaining(all.filter((v) => covers(position.low, v))))
      expect(value.filter((v) => !covers(position.high, v))).toEqual([])
      // From Redis alone it is so at all positions between.
      if (loaded === 0) expect(all.filter((v) => covers(position.high, v))).toEqual(value)
    }
  }

  /** Of what is fresh, or not loaded: what a load brings as stale may be behind the session, and says so. */
  #expectKnown({ values, freshness, loaded }: Taken): void {
    for (const key of KEYS) {
      const known = this.visitor.knows[key]!
      // The second key's contract waives what was only seen.
      if (key === 0 && (freshness === 'fresh' || loaded === 0)) {
        this.#count(`in a session ${freshness}`)
        expect(values[key]).toEqual(expect.arrayContaining([...known]))
      }
    }
    for (const key of KEYS) this.visitor.knows[key] = [...new Set([...this.visitor.knows[key]!, ...values[key]!])]
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

const anyStep = fc.nat({ max: 0xfff0 })
/** Commits become visible and are told of more often than there are new ones, or no watermark would ever catch up. */
const steps = fc.oneof(
  { weight: 3, arbitrary: anyStep },
  ...[1, 6, 7].map((step) => ({ weight: 2, arbitrary: anyStep.map((n) => n - (n % 9) + step) })),
)

test('I7 for every history: a snapshot is what one transaction saw, at the position that it says, and holds what its session knows', async () => {
  const ways = new Map<string, number>()
  const tapes = fc.array(steps, { minLength: 200, maxLength: 800, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const takings = new Takings(tape)
      await takings.run()
      for (const [way, times] of takings.ways) ways.set(way, (ways.get(way) ?? 0) + times)
    }),
    { numRuns: 120 },
  )
  // A snapshot that loads all, or refuses, would pass otherwise.
  const least = ['redis fresh', 'redis stale', 'partly fresh', 'loaded fresh', 'unlabelled', 'refused']
  for (const way of [...least, 'in a session fresh', 'in a session stale']) {
    expect([way, (ways.get(way) ?? 0) > 2]).toEqual([way, true])
  }
}, 60_000)
