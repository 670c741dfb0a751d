import { expect, test } from '@jest/globals'
import type { Guard } from '@tidemark/guard'
import { ORIGIN, position } from '@tidemark/protocol'
import fc from 'fast-check'
import { NOTHING_SEEN } from '../dependencies/dependency-look.ts'
import { BareLoads } from './bare-loads.ts'
import { Budget } from './budget.ts'
import { Flights } from './flights.ts'
import type { Inquiry } from './inquiry.ts'

const KEYS = ['a', 'b', 'c']
const WROTE = { own: position(1, 1n), seen: ORIGIN }

type Value = Readonly<Record<string, number>>

const wanted = (key: string) => ({ wanted: { key, params: {}, guard: {} as Guard }, sight: NOTHING_SEEN })

function inquiry(isSession: boolean, isBypass = false): Inquiry {
  const terms = { keyspace: 'k', contract: { maxStalenessMs: 1 }, clockSkewMs: 0, demand: isSession ? WROTE : null }
  const budget = new Budget(60_000, undefined)
  return {
    ...{ terms, isBypass, budget, takesAny: false, session: undefined, whenUnprovable: 'fail' },
    ...{ leaseDeadline: 0, watermarkDeadline: 0 },
  }
}

/** A primary whose loads read, and later land, in whatever order the run says. */
class Primary {
  readonly loads: { readonly keys: readonly string[] }[] = []
  most = 0
  readonly #rows: Record<string, number> = { a: 0, b: 0, c: 0 }
  readonly #underWay = new Map<string, number>()
  readonly bare

  constructor(scheduler: fc.Scheduler) {
    this.bare = new BareLoads<Value>(new Flights(), async (errands, _, signal) => {
      const keys = errands.map((errand) => errand.wanted.key)
      if (!signal.aborted) this.loads.push({ keys })
      for (const key of keys) this.#count(key, 1)
      await scheduler.schedule(Promise.resolve(), 'read')
      const value = { ...this.#rows }
      await scheduler.schedule(Promise.resolve(), 'land')
      for (const key of keys) this.#count(key, -1)
      const loaded = { value, label: null, loadedAt: 0, standing: null }
      for (const { flight } of errands)
        flight.land({ code: 'loaded', from: 'primary', loaded, view: null, isStored: false })
    })
  }

  write(key: string): number {
    this.#rows[key]! += 1
    return this.#rows[key]!
  }

  row(key: string): number {
    return this.#rows[key]!
  }

  #count(key: string, by: number): void {
    const count = (this.#underWay.get(key) ?? 0) + by
    this.#underWay.set(key, count)
    this.most = Math.max(this.most, count)
  }
}

const callers = fc.array(
  fc.record({
    keys: fc.subarray(KEYS, { minLength: 1 }),
    isSession: fc.boolean(),
    isBypass: fc.nat({ max: 9 }).map((n) => n === 0),
  }),
  { minLength: 1, maxLength: 40 },
)

test('I7 whatever the order of writes, reads and landings: a session is brought what it wrote, by one load of a key at a time', async () => {
  const tally = { calls: 0, loads: 0 }
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), callers, async (scheduler, calls) => {
      const primary = new Primary(scheduler)
      const read = async ({ keys, isSession, isBypass }: (typeof calls)[number]) => {
        await scheduler.schedule(Promise.resolve(), 'come')
        if (isSession) for (const key of keys) primary.write(key)
        const known = keys.map((key) => primary.row(key))
        const asked = inquiry(isSession, isBypass)
        const boarded = primary.bare.board(keys.map(wanted), asked, null)
        const brought = await Promise.all(boarded.map(({ flight }) => flight.wait(asked.budget)))
        for (const [i, { isSince }] of boarded.entries()) {
          const one = brought[i]!
          if (one?.code !== 'loaded') throw new Error('it was not loaded')
          // Who joins what is under way is judged as such, and no session does.
          if (isSession) expect(isSince).toBe(true)
          if (isSince) expect(one.loaded.value[keys[i]!]).toBeGreaterThanOrEqual(known[i]!)
        }
      }
      const all = Promise.all(calls.map(read))
      await scheduler.waitFor(all)
      tally.calls += calls.length
      tally.loads += primary.loads.length
      if (!calls.some(({ isBypass }) => isBypass)) expect(primary.most).toBeLessThanOrEqual(1)
    }),
    { numRuns: 500 },
  )
  expect(tally.loads).toBeLessThan(tally.calls)
})

test('a herd of sessions that finds a load under way costs one more', async () => {
  const landed = Promise.withResolvers<void>()
  let loads = 0
  const bare = new BareLoads<number>(new Flights(), async (errands) => {
    const value = ++loads
    await landed.promise
    const loaded = { value, label: null, loadedAt: 0, standing: null }
    for (const { flight } of errands)
      flight.land({ code: 'loaded', from: 'primary', loaded, view: null, isStored: false })
  })
  const first = bare.board([wanted('a')], inquiry(false), null)
  const herd = Array.from({ length: 64 }, () => bare.board([wanted('a')], inquiry(true), null)[0]!)
  expect(loads).toBe(1)
  landed.resolve()
  expect(await first[0]!.flight.landed()).toMatchObject({ loaded: { value: 1 } })
  for (const { flight } of herd) expect(await flight.landed()).toMatchObject({ loaded: { value: 2 } })
  expect(loads).toBe(2)
})
