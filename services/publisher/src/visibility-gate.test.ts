import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Transaction } from './transaction.ts'
import { type Entry, isVisible, type Snapshot, VisibilityGate } from './visibility-gate.ts'

const MODULUS = 1n << 32n

function snapshot(xmin: bigint, xmax: bigint, running: readonly bigint[] = []): Snapshot {
  return { xmin, xmax, running: new Set(running) }
}

function transaction(xid: number, keys = 0): Transaction {
  const names = new Set(Array.from({ length: keys }, (_, i) => `k:${xid}:${i}`))
  const keyspace = {} as Parameters<Transaction['keys']['get']>[0]
  return {
    kind: 'transaction',
    xid,
    commitLsn: BigInt(xid),
    endLsn: BigInt(xid) + 1n,
    commitTimeUs: 0n,
    floors: new Set(),
    keys: new Map([[keyspace, names]]),
    projections: new Map(),
    bytes: 100,
  }
}

function gateOf(...entries: readonly Entry[]): VisibilityGate {
  const gate = new VisibilityGate()
  for (const entry of entries) gate.add(entry)
  return gate
}

function names(entries: readonly Entry[]): (number | bigint)[] {
  return entries.map((e) => (e.kind === 'transaction' ? e.xid : e.lsn))
}

test('I5: below xmin is visible, running is not, ended in between is, from xmax on is not', () => {
  const s = snapshot(100n, 110n, [100n, 105n])
  expect([99, 100, 104, 105, 109, 110, 111].map((xid) => isVisible(xid, s))).toEqual([
    true,
    false,
    true,
    false,
    true,
    false,
    false,
  ])
})

test('I5: ids are compared by the nearest 64-bit id, on both sides of a wrap-around', () => {
  const fresh = snapshot(2n * MODULUS + 5n, 2n * MODULUS + 10n, [2n * MODULUS + 5n])
  expect(isVisible(0xffff_ffff, fresh)).toBe(true)
  expect(isVisible(4, fresh)).toBe(true)
  expect(isVisible(5, fresh)).toBe(false)
  expect(isVisible(10, fresh)).toBe(false)
  const late = snapshot(MODULUS - 3n, MODULUS - 1n)
  expect(isVisible(0xffff_fffe, late)).toBe(true)
  expect(isVisible(3, late)).toBe(false)
})

test('I5: in a young cluster an id that only a wrapped one could be is yet to come', () => {
  expect(isVisible(0xffff_ff00, snapshot(1000n, 1000n))).toBe(false)
})

test('I5: for any id within 2^31 of the snapshot, 32 bits decide as 64 would', () => {
  const near = fc.bigInt({ min: -(1n << 31n) + 1n, max: (1n << 31n) - 1n })
  fc.assert(
    fc.property(
      fc.bigInt({ min: 1n << 31n, max: 1n << 40n }),
      fc.array(fc.nat(1000), { maxLength: 20 }),
      fc.oneof(near, fc.bigInt({ min: -1000n, max: 10n })),
      (xmax, ages, offset) => {
        const running = ages.map((age) => xmax - 1n - BigInt(age))
        const xmin = running.reduce((a, b) => (a < b ? a : b), xmax)
        const xid = xmax + offset
        fc.pre(xid >= 3n)
        const really = xid < xmax && !running.includes(xid)
        expect(isVisible(Number(xid % MODULUS), snapshot(xmin, xmax, running))).toBe(really)
      },
    ),
  )
})

test('I5: a visible transaction does not overtake one that is held back, and both leave in commit order', () => {
  const gate = gateOf(transaction(1), transaction(2), transaction(3))
  expect(names(gate.release(snapshot(2n, 4n, [2n]), 100))).toEqual([1])
  expect(gate.release(snapshot(2n, 4n, [2n]), 100)).toEqual([])
  expect(names(gate.release(snapshot(4n, 4n), 100))).toEqual([2, 3])
})

test('a keepalive waits behind a transaction that is held back, and needs no snapshot of its own', () => {
  const gate = gateOf({ kind: 'keepalive', lsn: 5n }, transaction(1), { kind: 'keepalive', lsn: 9n })
  expect(names(gate.release(undefined, 100))).toEqual([5n])
  expect(gate.release(undefined, 100)).toEqual([])
  expect(names(gate.release(snapshot(2n, 2n), 100))).toEqual([1, 9n])
})

test('of keepalives in a row only the furthest is kept: an idle stream does not fill the queue', () => {
  const gate = gateOf(...[5n, 9n, 7n].map((lsn) => ({ kind: 'keepalive', lsn }) as const))
  expect(gate.size).toBe(1)
  expect(names(gate.release(undefined, 100))).toEqual([9n])
})

test('a keepalive that was taken is not merged with the next one', () => {
  const gate = gateOf({ kind: 'keepalive', lsn: 5n })
  gate.release(undefined, 100)
  gate.add({ kind: 'keepalive', lsn: 6n })
  expect(names(gate.release(undefined, 100))).toEqual([6n])
})

test('a release is about as large as it may be, and never empty for size’s sake', () => {
  const gate = gateOf(transaction(1, 50), transaction(2, 50), transaction(3, 50))
  const all = snapshot(9n, 9n)
  expect(names(gate.release(all, 10))).toEqual([1])
  expect(names(gate.release(all, 51))).toEqual([2, 3])
})

test('in any mixture of arrivals and releases everything leaves once, in order, and the bytes add up', () => {
  const step = fc.oneof(
    fc.constant('add' as const),
    fc.record({ visibleUpTo: fc.nat(40), maxKeys: fc.integer({ min: 1, max: 5 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const gate = new VisibilityGate()
      const left: number[] = []
      let next = 1
      for (const s of steps) {
        if (s === 'add') gate.add(transaction(next++, 2))
        else
          left.push(
            ...(names(gate.release(snapshot(BigInt(s.visibleUpTo), BigInt(s.visibleUpTo)), s.maxKeys)) as number[]),
          )
        expect(gate.bytes).toBe(gate.size * 100)
        expect(left.length + gate.size).toBe(next - 1)
      }
      expect(left).toEqual(left.map((_, i) => i + 1))
    }),
  )
})
