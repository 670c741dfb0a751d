import { expect, test } from '@jest/globals'
import { PriceHistory } from './price-history.ts'

function historyOf(...writes: readonly [cents: number, committedMs: number][]): PriceHistory {
  const history = new PriceHistory()
  for (const [cents, committedMs] of writes) {
    history.begins(1, cents)
    history.committed(1, committedMs)
  }
  return history
}

test('a price is as old as the commit that replaced it', () => {
  const history = historyOf([10, 100], [11, 200], [12, 300])
  expect(history.stalenessMs(1, 12, 1_000)).toBe(0)
  expect(history.stalenessMs(1, 11, 1_000)).toBe(700)
  expect(history.stalenessMs(1, 10, 1_000)).toBe(800)
})

test('a price of before the history is as old as its first commit', () => {
  expect(historyOf([10, 100]).stalenessMs(1, 9, 250)).toBe(150)
})

test('a read that began before the commit returned may see either price', () => {
  const history = historyOf([10, 100])
  expect(history.stalenessMs(1, 9, 90)).toBe(0)
  history.begins(1, 11)
  expect(history.stalenessMs(1, 10, 5_000)).toBe(0)
  expect(history.stalenessMs(1, 11, 5_000)).toBe(0)
})

test('a product that was never written to is never old', () => {
  expect(historyOf([10, 100]).stalenessMs(2, 5, 10_000)).toBe(0)
})
