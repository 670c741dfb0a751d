import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import fc from 'fast-check'
import { parseMessage } from './pgoutput.ts'
import { begin, commit, emitted, insert, relation, remove, truncate, update } from './testing/pgoutput-bytes.ts'
import type { Transaction } from './transaction.ts'
import { TransactionAssembler } from './transaction-assembler.ts'
import { MAX_TRANSACTION_PROJECTION_BYTES } from './transaction-projections.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    places: {
      key: 'place:{no}',
      tables: { 'public.place': { no: 'no' } },
      contract: { reaction: 'update' },
      projection: { name: { column: 'name' } },
      maxKeysPerTransaction: 1_000,
    },
    plain: { key: 'plain:{no}', tables: { 'public.place': { no: 'no' } } },
  },
})
const PLACE = relation(1, 'public.place', [{ name: 'no', identity: true }, { name: 'name' }])

function assembled(...messages: readonly Buffer[]): Transaction {
  return assembling(...messages).end()
}

function assembling(...messages: readonly Buffer[]) {
  const assembler = new TransactionAssembler(SOURCE, {
    onUnknown: () => undefined,
    onFloor: () => undefined,
    onShapeChanged: () => undefined,
    onProjectionLacking: () => undefined,
    onInvalidationMessage: () => undefined,
  })
  for (const message of [begin(10n, 5), PLACE, ...messages]) assembler.accept(parseMessage(message))
  return { bytes: assembler.openBytes, end: () => assembler.accept(parseMessage(commit(10n, 30n)))! }
}

function projected({ projections }: Transaction): Record<string, string> {
  return Object.fromEntries(
    [...projections].flatMap(([key, payload]) => (payload ? [[key, JSON.parse(payload.toString()).name]] : [])),
  )
}

function moved(from: string, to: string, name: string): Buffer {
  return update(1, [to, name], { image: 'K', columns: [from, null] })
}

test('the last change of a key decides', () => {
  expect(projected(assembled(insert(1, ['1', 'a']), update(1, ['1', 'b'])))).toEqual({ 'place:1': 'b' })
  expect(projected(assembled(insert(1, ['1', 'a']), remove(1, 'K', ['1', null])))).toEqual({})
  expect(projected(assembled(remove(1, 'K', ['1', null]), insert(1, ['1', 'b'])))).toEqual({ 'place:1': 'b' })
  expect(projected(assembled(insert(1, ['1', 'a']), update(1, ['1', 'u!'])))).toEqual({})
})

test('a key that an app names is invalidated, whether its row changes before or after', () => {
  const say = emitted('tidemark.shop', JSON.stringify({ keys: ['place:1'] }))
  for (const messages of [
    [say, insert(1, ['1', 'a']), insert(1, ['2', 'b'])],
    [insert(1, ['1', 'a']), insert(1, ['2', 'b']), say],
  ]) {
    const transaction = assembled(...messages)
    expect(projected(transaction)).toEqual({ 'place:2': 'b' })
    expect([...transaction.keys.get(SOURCE.keyspaces.places)!]).toContain('place:1')
  }
})

test('a key that a floor covers has none, and nothing is held in memory for it', () => {
  const floored = assembling(insert(1, ['1', 'a']), truncate(1), insert(1, ['2', 'b']))
  expect(floored.bytes).toBe(assembling(truncate(1)).bytes)
  expect(floored.end().projections.size).toBe(0)
})

test('projections count as what they take in memory, until a newer one takes their place', () => {
  const [once, twice] = [assembling(insert(1, ['1', 'a'.repeat(1_000)])), assembling(insert(1, ['1', 'a']))]
  expect(once.bytes - twice.bytes).toBe(999)
  const again = assembling(insert(1, ['1', 'a'.repeat(1_000)]), update(1, ['1', 'a']))
  expect(again.bytes).toBe(twice.bytes)
})

test('more of them than the bound are dropped, and those that come after are not taken; the keys stay', () => {
  const long = 'x'.repeat(10_000)
  const count = Math.ceil(MAX_TRANSACTION_PROJECTION_BYTES / long.length)
  const rows = Array.from({ length: count }, (_, i) => insert(1, [String(i), long]))
  const held = assembling(...rows.slice(0, count / 2))
  expect(held.bytes).toBeGreaterThan(MAX_TRANSACTION_PROJECTION_BYTES / 2)
  const dropped = assembling(...rows, insert(1, ['late', 'a']))
  expect(dropped.bytes).toBeLessThan(MAX_TRANSACTION_PROJECTION_BYTES / 10)
  const transaction = dropped.end()
  expect(transaction.projections.size).toBe(0)
  expect(transaction.keys.get(SOURCE.keyspaces.places)!.size).toBe(count + 1)
})

test('a transaction without projections has nothing made for them', () => {
  const [one, other] = [assembled(remove(1, 'K', ['1', null])), assembled()]
  expect(one.projections).toBe(other.projections)
})

const place = fc.integer({ min: 0, max: 3 }).map(String)
const name = fc.constantFrom('a', 'b', 'c', 'u!')
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), no: place, name: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ do: fc.constant('rename' as const), no: place, name }),
  fc.record({ do: fc.constant('move' as const), no: place, to: place, name }),
  fc.record({ do: fc.constant('delete' as const), no: place }),
)

interface PlaceRow {
  no: string
  name: string
}

/** The messages of the steps on a table whose unique constraint is deferred: until the end two rows may share a place. */
function written(
  rows: PlaceRow[],
  steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[],
): Buffer[] {
  return steps.flatMap((s) => {
    const row = rows.find((r) => r.no === s.no)
    if (s.do === 'put') {
      rows.push({ no: s.no, name: s.name })
      return [insert(1, [s.no, s.name])]
    }
    if (!row) return []
    if (s.do === 'delete') {
      rows.splice(rows.indexOf(row), 1)
      return [remove(1, 'K', [s.no, null])]
    }
    if (s.name !== 'u!') row.name = s.name
    if (s.do === 'rename') return [update(1, [row.no, s.name])]
    row.no = s.to
    return [moved(s.no, s.to, s.name)]
  })
}

test('whatever a transaction does to rows, a projection is what the key’s one row is at the commit', () => {
  let seen = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const rows: PlaceRow[] = []
      const messages = written(rows, steps)
      const places = rows.map((r) => r.no)
      fc.pre(new Set(places).size === places.length)
      for (const [key, found] of Object.entries(projected(assembled(...messages)))) {
        expect(rows.find((r) => `place:${r.no}` === key)?.name).toBe(found)
        seen++
      }
    }),
    { numRuns: 500 },
  )
  expect(seen).toBeGreaterThan(100)
})

test('two rows that swap their keys are invalidated under at least one of them, never given each other’s value', () => {
  // As `update place set no = 3 - no` does it, one row after the other.
  const swapped = projected(assembled(moved('1', '2', 'was one'), moved('2', '1', 'was two')))
  expect(swapped).toEqual({ 'place:1': 'was two' })
})
