import { describe, expect, test } from '@jest/globals'
import { judge, type RequireResult, type Terms, type View } from '@tidemark/guard'
import { covers, maxPosition, ORIGIN, type Position, position, type Version, version } from '@tidemark/protocol'
import fc from 'fast-check'
import { judgeLoaded } from '../read/judge-loaded.ts'
import type { Connection } from '../sources/database.ts'
import { type Loaded, loadFromPrimary, loadFromReplica } from '../sources/labelled-load.ts'
import { SimulatedShop, STANDING } from '../testing/simulated-shop.ts'
import { boundsOf, effectiveView } from './effective-view.ts'

const at = (lsn: number, epoch = 1) => position(epoch, BigInt(lsn))
const VIEW: View = {
  epoch: '00000001',
  watermark: at(500),
  newest: version(1, 400n),
  horizon: ORIGIN,
  floors: { product: at(300) },
  offset: '0'.repeat(16),
  beat: 2_000,
  current: 0,
  generations: {},
}
const other = (view: Partial<View>, ...required: number[]): RequireResult => ({
  code: 'required',
  view: { ...VIEW, floors: {}, ...view },
  required: required.map((lsn) => at(lsn)),
})

describe('a value of several keys is judged by a view', () => {
  test('whose watermark and beat are those of the slowest partition', () => {
    const answers = [other({ watermark: at(400), beat: 3_000 }), other({ watermark: at(600), beat: 1_000 })]
    expect(effectiveView(VIEW, answers, 'product')).toMatchObject({ watermark: at(400), beat: 1_000 })
    expect(effectiveView(VIEW, [], 'product')).toBe(VIEW)
  })

  test('whose floor is what the dependencies require, where that is further, and of this keyspace alone', () => {
    expect(effectiveView(VIEW, [other({}, 200, 450), other({}, 440)], 'product')?.floors).toEqual({ product: at(450) })
    expect(effectiveView(VIEW, [other({}, 200)], 'product')?.floors).toEqual({ product: at(300) })
    expect(effectiveView(VIEW, [other({}, 200)], 'cart')?.floors).toEqual({ product: at(300), cart: at(200) })
  })

  test('of the newest epoch that one of them knows', () => {
    expect(effectiveView(VIEW, [other({ epoch: '00000002' })], 'product')?.epoch).toBe('00000002')
    expect(effectiveView({ ...VIEW, epoch: '00000003' }, [other({ epoch: '00000002' })], 'product')?.epoch).toBe(
      '00000003',
    )
  })

  test('that is missing, or has a gap, where one of theirs is or has', () => {
    expect(effectiveView(VIEW, [other({}), { code: 'view-missing' }], 'product')).toBeNull()
    expect(effectiveView(VIEW, [null, other({})], 'product')).toBeNull()
    expect(effectiveView(null, [other({})], 'product')).toBeNull()
    expect(effectiveView(VIEW, [{ code: 'gap' }, other({})], 'product')).toHaveProperty('gap')
  })

  test('and is loaded from where all that any of them knows is to be seen', () => {
    expect(boundsOf([other({}, 450, 300), null])).toEqual({ required: at(450), granted: at(500) })
    expect(boundsOf([other({ watermark: at(100) }, 450)])).toEqual({ required: at(450), granted: at(450) })
    expect(boundsOf([other({ watermark: at(700) }, 450)])).toEqual({ required: at(450), granted: at(700) })
    expect(boundsOf([])).toEqual({ required: ORIGIN, granted: ORIGIN })
  })
})

/** A value of keys 0 and 1, cached under key 0: of each, the commits that it reflects. */
type Both = readonly [readonly Version[], readonly Version[]]

const PARTITIONS = 2

const readBoth = async (db: Connection): Promise<Both> => {
  const [own, others] = [await db.query<Version>('rows', [0]), await db.query<Version>('rows', [1])]
  return [own.rows, others.rows]
}

/** A cache of one value that depends on another key, read as the read path reads it. */
class Shelf {
  readonly shop: SimulatedShop
  readonly fresh = new Map<string, number>()
  #cell: Loaded<Both> | null = null

  constructor(tape: readonly number[]) {
    this.shop = new SimulatedShop(tape, PARTITIONS)
  }

  async run(): Promise<void> {
    while (this.shop.goesOn) {
      this.shop.pass()
      await this.#read(this.shop.next())
    }
  }

  #asked(): RequireResult {
    return { code: 'required', view: this.shop.view(1), required: [this.shop.lease(1).required] }
  }

  async #read(choice: number): Promise<void> {
    const contract = { maxStalenessMs: 1 + (choice % 60) }
    const terms: Terms = { keyspace: 'product', contract, clockSkewMs: 0, demand: null }
    const { view, cell } = this.#look()
    this.shop.pass()
    const asked = [this.#asked()]
    const effective = effectiveView(view, asked, 'product')!
    const hit = cell && judge(effective, { ...cell, state: 'live', label: cell.label! }, terms, this.shop.now)
    if (cell && hit?.fresh)
      return this.#expectFresh('hit', cell, maxPosition(cell.label!.low, effective.watermark), terms)
    this.shop.pass()
    const loaded = await this.#load(choice, boundsOf(asked))
    if (loaded === null) return
    this.shop.pass()
    const verdict = judgeLoaded(effective, loaded, { ...terms, announcedEpoch: 0 }, this.shop.now)
    if (verdict.fresh)
      this.#expectFresh(loaded.loadedAt === null ? 'replica' : 'primary', loaded, verdict.position!, terms)
    // What a dependency requires of the load it did get: or each read would load again.
    else expect(verdict.doubt).not.toBe('floor')
    if (loaded.label!.low >= this.shop.lease(0).required) this.#cell = loaded
  }

  /** A cell goes with the invalidation of its own key, and with no other. */
  #look(): { view: View; cell: Loaded<Both> | null } {
    if (this.#cell && this.#cell.label!.low < this.shop.lease(0).required) this.#cell = null
    return { view: this.shop.view(0), cell: this.#cell }
  }

  async #load(choice: number, bounds: ReturnType<typeof boundsOf>): Promise<Loaded<Both> | null> {
    const lease = this.shop.lease(0)
    const required = maxPosition(lease.required, bounds.required)
    const granted = maxPosition(lease.granted, bounds.granted, required)
    const loading = { statement: STANDING, load: readBoth }
    if (choice % 7 < 4) {
      const again = async () => this.shop.goesOn
      const reached = (position: Position) => position >= required
      const answer = await loadFromReplica({ ...loading, pool: this.shop.replica(), reached, again })
      return answer.code === 'loaded' ? answer.loaded : null
    }
    return loadFromPrimary({ ...loading, pool: this.shop.primary() }, granted, () => this.shop.now)
  }

  #expectFresh(how: string, { value }: Loaded<Both>, reached: Position, { contract }: Terms): void {
    this.fresh.set(how, (this.fresh.get(how) ?? 0) + 1)
    for (const key of [0, 1] as const) {
      const old = this.shop.commitsTo(key, this.shop.now - contract.maxStalenessMs)
      const covered = this.shop.commitsTo(key).filter((v) => covers(reached, v))
      expect(value[key]).toEqual(expect.arrayContaining([...old, ...covered]))
    }
  }
}

// Two partitions are told of commits in whatever order they like; the value's cell hears of one of its two keys.
test('I7 for every history: a value of two keys that is called fresh reflects both as far as it says', async () => {
  const fresh = new Map<string, number>()
  const tapes = fc.array(fc.nat({ max: 0xffff }), { minLength: 20, maxLength: 600, size: 'max' })
  await fc.assert(
    fc.asyncProperty(tapes, async (tape) => {
      const shelf = new Shelf(tape)
      await shelf.run()
      for (const [how, times] of shelf.fresh) fresh.set(how, (fresh.get(how) ?? 0) + times)
    }),
    { numRuns: 400 },
  )
  // A judge that doubts everything would pass otherwise.
  for (const how of ['hit', 'replica', 'primary']) expect([how, (fresh.get(how) ?? 0) > 100]).toEqual([how, true])
})
