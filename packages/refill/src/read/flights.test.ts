import { expect, test } from '@jest/globals'
import { type Demand, judge, type Label, type Terms, type View } from '@tidemark/guard'
import { after, covers, join, maxPosition, ORIGIN, type Position, satisfies, type Version } from '@tidemark/protocol'
import fc from 'fast-check'
import { exactInterval, sharedByAll } from '../snapshot/snapshot-choice.ts'
import type { Connection } from '../sources/database.ts'
import { type Loaded, loadFromPrimary, loadFromReplica } from '../sources/labelled-load.ts'
import { type Reflected, SimulatedShop, STANDING } from '../testing/simulated-shop.ts'
import { judgeJoined, judgeLoaded } from './judge-loaded.ts'

const KEYS = [0, 1] as const
const PARTITIONS = 2

type Key = (typeof KEYS)[number]

interface Held {
  readonly value: Reflected
  readonly label: Label
  readonly loadedAt: number | null
}

/** A reader: what it asks, and what must be in what it is handed. */
interface Reader {
  readonly key: Key
  readonly visitor: Visitor | null
  readonly terms: Terms
  /** What its session had written and seen of the key when it asked. */
  readonly known: readonly Version[]
}

class Visitor {
  own: Position = ORIGIN
  seen: Position = ORIGIN
  readonly versions = new Map<Version, Key>()

  get demand(): Demand | null {
    return this.own === ORIGIN && this.seen === ORIGIN ? null : { own: this.own, seen: this.seen }
  }

  knownOf(key: Key): Version[] {
    return [...this.versions].filter(([, of]) => of === key).map(([version]) => version)
  }
}

/** One process before a region's cells: hits, flights of one key or of two, readers who join them, fills, snapshots. */
class Counter {
  readonly shop: SimulatedShop
  readonly #visitors = [new Visitor(), new Visitor()]
  readonly #cells = new Map<Key, Held>()
  readonly #tally: Map<string, number>
  /** Who has joined the flight under way. */
  #joined: Reader[] = []

  constructor(tape: readonly number[], tally: Map<string, number>) {
    this.shop = new SimulatedShop(tape, PARTITIONS)
    this.#tally = tally
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      const choice = this.shop.next()
      if (choice % 8 === 0) this.#write()
      else if (choice % 8 === 1) this.#snapshot()
      else await this.#read(this.#reader(), choice)
    }
  }

  #reader(): Reader {
    const choice = this.shop.next()
    const key = KEYS[choice % 2]!
    const visitor = this.#visitors[choice % 3] ?? null
    const contract = { maxStalenessMs: 1 + ((choice >> 4) % 100) }
    const terms = { keyspace: 'product', contract, clockSkewMs: 0, demand: visitor?.demand ?? null }
    return { key, visitor, terms, known: visitor?.knownOf(key) ?? [] }
  }

  #write(): void {
    const choice = this.shop.next()
    const visitor = this.#visitors[choice % 2]!
    const key = KEYS[(choice >> 1) % 2]!
    const { version, own } = this.shop.write(key)
    visitor.versions.set(version, key)
    visitor.own = join(visitor.own, own)
  }

  /** View and cell of one instant: what the guard has invalidated by then is not live. */
  #look(key: Key): { view: View; cell: Held | null } {
    const cell = this.#cells.get(key)
    const isLive = cell !== undefined && cell.label.low >= this.shop.lease(key).required
    return { view: this.shop.view(key), cell: isLive ? cell : null }
  }

  async #read(reader: Reader, choice: number): Promise<void> {
    const { view, cell } = this.#look(reader.key)
    const verdict = judge(view, cell && { ...cell, state: 'live' }, reader.terms, this.shop.now)
    if (!verdict.fresh) return this.#fly(reader, view, choice)
    this.#expectFresh('hit', reader, cell!.value, verdict.position)
    this.#handOver(reader, cell!.value, cell!.label.high)
    // Its soft time may be over: a load behind the reader asks nothing for a session.
    if (choice % 3 === 0)
      await this.#fly({ ...reader, visitor: null, terms: { ...reader.terms, demand: null } }, view, choice)
  }

  /** One load, of the reader's key or of both, for him and all who join while it is under way. */
  async #fly(leader: Reader, view: View, choice: number): Promise<void> {
    const other = KEYS[1 - leader.key]!
    const flown = (choice >> 3) % 3 === 0 ? [leader.key, other] : [leader.key]
    const views = flown.map((key) => (key === leader.key ? view : this.shop.view(key)))
    this.#joined = []
    const all = await this.#load(flown, leader.terms.demand, choice)
    if (all === null) return
    for (const [i, key] of flown.entries()) {
      const loaded = { ...all, value: all.value[i]! }
      this.shop.pass()
      this.#fill(key, loaded)
      if (key === leader.key) this.#judge('led', judgeLoaded, leader, views[i]!, loaded)
      for (const reader of this.#joined) {
        if (reader.key === key) this.#judge('joined', judgeJoined, reader, views[i]!, loaded)
      }
    }
    if (flown.length === 1) return
    this.#count(`several keys from ${sourceOf(all)}`)
    this.shop.pass()
    this.#snapshot()
  }

  async #load(keys: readonly Key[], demand: Demand | null, choice: number): Promise<Loaded<Reflected[]> | null> {
    const leases = keys.map((key) => {
      this.shop.pass()
      return this.shop.lease(key)
    })
    const required = maxPosition(ORIGIN, ...leases.map((lease) => lease.required))
    const granted = maxPosition(required, ...leases.map((lease) => lease.granted))
    const load = async (db: Connection) => {
      const values: Reflected[] = []
      for (const key of keys) {
        this.#meanwhile()
        values.push((await db.query<Version>('rows', [key])).rows)
      }
      this.#meanwhile()
      return values
    }
    const loading = { statement: STANDING, load, isolation: choice % 2 === 0 ? 'statements' : 'snapshot' } as const
    if (choice % 7 < 3) {
      const isMet = (at: Position) => demand === null || (satisfies(at, demand.own) && satisfies(at, demand.seen))
      const reached = (at: Position) => at >= required && isMet(at)
      const again = async () => this.shop.goesOn
      const answer = await loadFromReplica({ ...loading, pool: this.shop.replica(), reached, again })
      return answer.code === 'loaded' ? answer.loaded : null
    }
    const lease = choice % 7 === 3 ? null : granted
    return loadFromPrimary({ ...loading, pool: this.shop.primary() }, lease, () => this.shop.now)
  }

  /** While a load is under way a session writes, or somebody joins. */
  #meanwhile(): void {
    const choice = this.shop.next() % 4
    if (choice === 0) this.#write()
    if (choice < 3) this.#joined.push(this.#reader())
  }

  #fill(key: Key, { value, label, loadedAt }: Loaded<Reflected>): void {
    if (label === null) return
    const isStored = label.low >= this.shop.lease(key).required
    this.#count(isStored ? 'stored' : 'overtaken')
    if (isStored) this.#cells.set(key, { value, label, loadedAt })
  }

  #judge(how: string, judgeIt: typeof judgeLoaded, reader: Reader, view: View, loaded: Loaded<Reflected>): void {
    const verdict = judgeIt(view, loaded, { ...reader.terms, announcedEpoch: 0 }, this.shop.now)
    if (!verdict.fresh) return
    this.#expectFresh(`${how}, ${sourceOf(loaded)}`, reader, loaded.value, verdict.position)
    this.#handOver(reader, loaded.value, loaded.label?.high ?? loaded.standing!.reach!)
  }

  #handOver({ visitor, key }: Reader, value: Reflected, reach: Position): void {
    if (visitor === null) return
    visitor.seen = join(visitor.seen, reach)
    for (const version of value) visitor.versions.set(version, key)
  }

  /** I1, I7: all that the position covers, all that is older than may be missing, and all that the session knows. */
  #expectFresh(how: string, { key, terms, known }: Reader, value: Reflected, position: Position | null): void {
    this.#count(terms.demand === null ? how : `${how}, in a session`)
    const covered = this.shop.commitsTo(key).filter((version) => position !== null && covers(position, version))
    const old = this.shop.commitsTo(key, this.shop.now - terms.contract.maxStalenessMs)
    expect(value).toEqual(expect.arrayContaining([...covered, ...old, ...(terms.demand === null ? [] : known)]))
  }

  /** Two partitions, looked at one after the other. */
  #snapshot(): void {
    const seen = KEYS.map((key) => {
      this.shop.pass()
      return this.#look(key)
    })
    const shared = sharedByAll(seen.map(({ cell, view }) => cell && exactInterval(cell.label, view)))
    if (shared === null) return
    this.#count('snapshot')
    const commits = KEYS.flatMap((key) => this.shop.commitsTo(key))
    const said = [shared.low, shared.high, ...commits.map(after)].filter((at) => shared.low <= at && at <= shared.high)
    for (const at of said) {
      for (const key of KEYS) {
        const held = this.shop.commitsTo(key).filter((version) => covers(at, version))
        expect([...seen[key]!.cell!.value].sort()).toEqual(held)
      }
    }
  }

  #count(what: string): void {
    this.#tally.set(what, (this.#tally.get(what) ?? 0) + 1)
  }
}

function sourceOf({ label, loadedAt }: Loaded<unknown>): string {
  return label === null ? 'unlabelled' : loadedAt === null ? 'replica' : 'primary'
}

const WAYS = [
  'hit',
  'hit, in a session',
  ...['replica', 'primary', 'unlabelled'].flatMap((from) => [`led, ${from}`, `joined, ${from}`]),
  ...['replica', 'primary'].flatMap((from) => [`led, ${from}, in a session`, `joined, ${from}, in a session`]),
  'led, unlabelled, in a session',
  'several keys from replica',
  'several keys from primary',
  'stored',
  'overtaken',
  'snapshot',
]

// Whatever the interleaving: what is called fresh to who began a flight, joined it, or met its cell later, is; and cells
// that share a point are what the database held there.
test('I1 I7 for every history of flights, those who join them, and what they store: what is called fresh is', async () => {
  const tally = new Map<string, number>()
  const tapes = fc.array(fc.nat({ max: 0xffff }), { minLength: 50, maxLength: 600, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => new Counter(tape, tally).run()),
    { numRuns: 1_000 },
  )
  // A judge that doubts everything would pass otherwise.
  expect(WAYS.filter((way) => (tally.get(way) ?? 0) < 20)).toEqual([])
})
