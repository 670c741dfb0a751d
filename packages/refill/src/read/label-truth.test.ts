import { expect, test } from '@jest/globals'
import type { Terms } from '@tidemark/guard'
import { covers, join, ORIGIN, type Position, satisfies, type Version } from '@tidemark/protocol'
import fc from 'fast-check'
import type { Connection } from '../sources/database.ts'
import { type Loaded, loadFromPrimary, loadFromReplica } from '../sources/labelled-load.ts'
import { type Reflected, SimulatedShop, STANDING } from '../testing/simulated-shop.ts'
import { judgeLoaded } from './judge-loaded.ts'

interface Read {
  readonly key: number
  readonly loaded: Loaded<Reflected>
}

/** One session at a simulated shop, whose reads are made as the cache makes a miss. */
class Visit {
  readonly shop: SimulatedShop
  own: Position = ORIGIN
  seen: Position = ORIGIN
  /** How often something was called fresh, by what it came from and whether the session asked. */
  readonly fresh = new Map<string, number>()
  readonly #wrote: { key: number; version: Version }[] = []
  readonly #saw = new Map<Version, number>()

  constructor(tape: readonly number[]) {
    this.shop = new SimulatedShop(tape)
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      const choice = this.shop.next()
      if (choice % 5 === 0) this.#write(choice % 2)
      else await this.#read(choice % 2, choice)
    }
  }

  #write(key: number): void {
    const { version, own } = this.shop.write(key)
    this.#wrote.push({ key, version })
    this.own = join(this.own, own)
  }

  async #read(key: number, choice: number): Promise<void> {
    const demand = choice % 3 === 0 || (this.own === ORIGIN && this.seen === ORIGIN) ? null : this
    const terms: Terms = {
      keyspace: 'product',
      contract: { maxStalenessMs: 1 + (choice % 100) },
      clockSkewMs: 0,
      demand: demand && { own: this.own, seen: this.seen },
    }
    const view = this.shop.view()
    this.shop.pass()
    const loaded = await this.#load(key, terms, choice)
    if (loaded === null) return
    const read = { key, loaded }
    expectTrueLabel(read, this.shop)
    this.shop.pass()
    const verdict = judgeLoaded(view, loaded, { ...terms, announcedEpoch: 0 }, this.shop.now)
    if (verdict.fresh) {
      const how = `${loaded.label ? loaded.standing?.role : 'unlabelled'}${demand ? ' in a session' : ''}`
      this.fresh.set(how, (this.fresh.get(how) ?? 0) + 1)
      expectAllOf(coveredBy(verdict.position, this.shop.commitsTo(key)), read)
      expectAllOf(this.shop.commitsTo(key, this.shop.now - terms.contract.maxStalenessMs), read)
      if (demand) this.#expectOwnAndSeen(read)
    }
    this.seen = join(this.seen, loaded.label?.high ?? loaded.standing!.reach!)
    for (const version of loaded.value) this.#saw.set(version, key)
  }

  async #load(key: number, terms: Terms, choice: number): Promise<Loaded<Reflected> | null> {
    const { required, granted } = this.shop.lease(key)
    const isolation = choice % 11 < 6 ? 'statements' : 'snapshot'
    let twice: Version[][] = [[], []]
    const load = async (db: Connection) => {
      const first = (await db.query<Version>('rows', [key])).rows
      if (isolation === 'statements') return first
      // A failure in here would be the load's, and pass for one that the replica refused.
      twice = [first, (await db.query<Version>('rows', [key])).rows]
      return first
    }
    const loading = { statement: STANDING, load, isolation } as const
    if (choice % 7 < 3) {
      const { demand } = terms
      const reached = (p: Position) =>
        p >= required && (!demand || (satisfies(p, demand.own) && satisfies(p, demand.seen)))
      const again = async () => this.shop.goesOn
      const answer = await loadFromReplica({ ...loading, pool: this.shop.replica(), reached, again })
      // Of one snapshot, whatever happens between its statements.
      expect(twice[1]).toEqual(twice[0])
      return answer.code === 'loaded' ? answer.loaded : null
    }
    const lease = choice % 7 === 3 ? null : granted
    const loaded = await loadFromPrimary({ ...loading, pool: this.shop.primary() }, lease, () => this.shop.now)
    expect(twice[1]).toEqual(twice[0])
    return loaded
  }

  #expectOwnAndSeen(read: Read): void {
    const own = this.#wrote.filter((w) => w.key === read.key).map((w) => w.version)
    const seen = [...this.#saw].filter(([, key]) => key === read.key).map(([version]) => version)
    expectAllOf([...own, ...seen], read)
  }
}

function coveredBy(position: Position | null, versions: readonly Version[]): Version[] {
  return position === null ? [] : versions.filter((v) => covers(position, v))
}

function expectAllOf(versions: readonly Version[], { loaded }: Read): void {
  expect(loaded.value).toEqual(expect.arrayContaining([...versions]))
}

function expectTrueLabel(read: Read, shop: SimulatedShop): void {
  const { label, value } = read.loaded
  if (label === null) return
  expectAllOf(coveredBy(label.low, shop.commitsTo(read.key)), read)
  expect(coveredBy(label.high, value)).toEqual(value)
}

// Whatever the interleaving: what is called fresh reflects all that its position covers (I1), is no older than the
// contract says (I7), and holds what the session wrote and saw.
test('I1 I7 for every history of primary, replica and pipeline: what is called fresh is', async () => {
  const fresh = new Map<string, number>()
  const tapes = fc.array(fc.nat({ max: 0xffff }), { minLength: 20, maxLength: 600, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const visit = new Visit(tape)
      await visit.run()
      for (const [how, times] of visit.fresh) fresh.set(how, (fresh.get(how) ?? 0) + times)
    }),
    { numRuns: 1_000 },
  )
  // A judge that doubts everything would pass otherwise.
  const ways = ['primary', 'replica', 'unlabelled', 'primary in a session', 'replica in a session']
  for (const way of ways) expect([way, (fresh.get(way) ?? 0) > 100]).toEqual([way, true])
})
