import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { answersOf, holderIn, LEASE_MS, LOAD_MS, loadsIn, REGIONS, Stampede } from './stampede.ts'

/** For what a machine that is busy with other tests adds. */
const BUSY_MS = 2_000

let stampede: Stampede

beforeAll(async () => {
  stampede = await Stampede.open()
}, 120_000)

afterAll(() => stampede?.[Symbol.asyncDispose]())

test('200 readers in four processes of two regions ask for one cold key: each region loads it once', async () => {
  const all = await stampede.run(1)
  const answers = await answersOf(all)
  expect(new Set(answers.map(({ n }) => n))).toEqual(new Set([10]))
  expect(REGIONS.map((region) => loadsIn(all, region))).toEqual([1, 1])
}, 120_000)

test('the process that loads is killed: one more load in its region, and nobody waits for longer than its lease', async () => {
  const all = await stampede.run(2)
  const [struck, other] = REGIONS
  const holder = await holderIn(all, struck)
  await holder.child.kill()
  const answers = await answersOf(all.filter((one) => one !== holder))
  expect(new Set(answers.map(({ n }) => n))).toEqual(new Set([20]))
  expect([loadsIn(all, struck), loadsIn(all, other)]).toEqual([2, 1])
  const longest = Math.max(...answers.map(({ ms }) => ms))
  console.info(`the longest of ${answers.length} waits: ${longest.toFixed(0)} ms`)
  // Its lease was granted, or prolonged, when its load had not ended yet.
  expect(longest).toBeLessThan(LOAD_MS + LEASE_MS + LOAD_MS + BUSY_MS)
}, 120_000)
