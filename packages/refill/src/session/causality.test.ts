import { expect, test } from '@jest/globals'
import type { Demand } from '@tidemark/guard'
import { ORIGIN, type Position, satisfies, type Version } from '@tidemark/protocol'
import fc from 'fast-check'
import { judgeLoaded } from '../read/judge-loaded.ts'
import type { Connection } from '../sources/database.ts'
import { type Loaded, loadFromPrimary, loadFromReplica } from '../sources/labelled-load.ts'
import { UnreachablePool } from '../testing/scripted-pools.ts'
import { type Reflected, SimulatedShop, STANDING } from '../testing/simulated-shop.ts'
import { Session } from './session.ts'
import type { TokenContent } from './token.ts'

/** What each of two keyspaces promises: a list that promises little, and a page that promises all. */
const PROMISES = [
  { readYourWrites: true, monotonicReads: false },
  { readYourWrites: true, monotonicReads: true },
] as const

/** Choices of where a read goes, see `#load`. */
const FROM_REPLICA = 0
const FROM_PRIMARY = 4

const host = {
  primary: new UnreachablePool(),
  standingStatement: STANDING,
  newestEpoch: async () => null,
  signToken: (content: TokenContent) => JSON.stringify(content),
  readToken: (token: string) => JSON.parse(token) as TokenContent,
  onUncarried: () => undefined,
}

/** Somebody with a session, and what really was written by and shown to them. */
class Visitor {
  readonly session = new Session(host, null)
  readonly wrote = new Set<Version>()
  readonly saw = new Set<Version>()

  /** As a message with a token in it arrives: its sender's past is the visitor's from here on. */
  hearFrom(sender: Visitor): void {
    this.session.follow(sender.session.token())
    for (const version of sender.wrote) this.wrote.add(version)
    for (const version of sender.saw) this.saw.add(version)
  }
}

/** Visitors of one simulated shop who write, read two keyspaces, and send each other messages. */
class Visits {
  readonly shop: SimulatedShop
  readonly visitors = [new Visitor(), new Visitor(), new Visitor()]
  readonly #shown: Map<string, number>

  constructor(tape: readonly number[], shown: Map<string, number>) {
    this.shop = new SimulatedShop(tape)
    this.#shown = shown
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      const visitor = this.visitors[this.shop.next() % 3]!
      const choice = this.shop.next()
      if (choice % 6 === 0) this.#write(visitor, choice % 2)
      else if (choice % 6 === 1) await this.#talk(this.visitors[this.shop.next() % 3]!, visitor)
      else await this.#read(visitor, (choice >> 4) % 2, choice)
    }
  }

  /** One looks at what is newest, and tells another, who looks at what may be older. Left to chance it is rare. */
  async #talk(sender: Visitor, hearer: Visitor): Promise<void> {
    await this.#read(sender, this.shop.next() % 2, FROM_PRIMARY)
    hearer.hearFrom(sender)
    await this.#read(hearer, 1, FROM_REPLICA)
  }

  #write(visitor: Visitor, key: number): void {
    const { version, own } = this.shop.write(key)
    visitor.wrote.add(version)
    visitor.session.follow(JSON.stringify({ systemIdentifier: '7', own, seen: ORIGIN } satisfies TokenContent))
  }

  async #read(visitor: Visitor, key: number, choice: number): Promise<void> {
    const promised = PROMISES[key]!
    const demand = await visitor.session.demand(promised)
    const view = this.shop.view()
    this.shop.pass()
    const loaded = await this.#load(key, demand, choice)
    if (loaded === null) return
    const terms = { keyspace: 'k', contract: { maxStalenessMs: 10_000 }, clockSkewMs: 0, demand, announcedEpoch: 0 }
    if (!judgeLoaded(view, loaded, terms, this.shop.now).fresh) return
    this.#expectPromised(visitor, key, loaded.value)
    const reach = loaded.label?.high ?? loaded.standing!.reach!
    visitor.session.saw(reach, loaded.standing!.systemIdentifier)
    for (const version of loaded.value) visitor.saw.add(version)
  }

  #expectPromised(visitor: Visitor, key: number, value: Reflected): void {
    const commits = this.shop.commitsTo(key)
    expect(value).toEqual(expect.arrayContaining(commits.filter((version) => visitor.wrote.has(version))))
    this.#count('own', visitor.wrote.size)
    if (!PROMISES[key]!.monotonicReads) return
    // Whatever it was that was seen, and in which keyspace: what was committed before it is not missing.
    const newest = [...visitor.saw].reduce((a, b) => (a > b ? a : b), '')
    const before = commits.filter((version) => version <= newest)
    expect(value).toEqual(expect.arrayContaining(before))
    this.#count('seen', before.length)
  }

  #count(what: string, size: number): void {
    if (size > 0) this.#shown.set(what, (this.#shown.get(what) ?? 0) + 1)
  }

  async #load(key: number, demand: Demand | null, choice: number): Promise<Loaded<Reflected> | null> {
    const { required, granted } = this.shop.lease(key)
    const load = async (db: Connection) => (await db.query<Version>('rows', [key])).rows
    const loading = { statement: STANDING, load, isolation: 'statements' } as const
    if (choice % 7 < 4) {
      const reached = (p: Position) =>
        p >= required && (!demand || (satisfies(p, demand.own) && satisfies(p, demand.seen)))
      const again = async () => this.shop.goesOn
      const answer = await loadFromReplica({ ...loading, pool: this.shop.replica(), reached, again })
      return answer.code === 'loaded' ? answer.loaded : null
    }
    return loadFromPrimary({ ...loading, pool: this.shop.primary() }, granted, () => this.shop.now)
  }
}

test('I7 for every history: what is handed on by a token, or seen in a keyspace that promises nothing, is not read behind', async () => {
  const shown = new Map<string, number>()
  const tapes = fc.array(fc.nat({ max: 0xffff }), { minLength: 20, maxLength: 600, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => new Visits(tape, shown).run()),
    { numRuns: 500 },
  )
  // Where nothing were called fresh nothing would be checked.
  expect([(shown.get('own') ?? 0) > 100, (shown.get('seen') ?? 0) > 100]).toEqual([true, true])
})
