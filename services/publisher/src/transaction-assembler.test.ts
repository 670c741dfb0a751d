import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { parseMessage } from './pgoutput.ts'
import { BEGIN_TIME_US, begin, commit, insert, relation, truncate } from './testing/pgoutput-bytes.ts'
import type { Transaction } from './transaction.ts'
import { TransactionAssembler } from './transaction-assembler.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } }, maxKeysPerTransaction: 3 },
    stock: { key: 'stock:{id}', tables: { 'public.product': { id: 'id' }, 'public.stock': { id: 'id' } } },
  },
})
const PRODUCT = relation(1, 'public.product', [{ name: 'id', identity: true }])
const STOCK = relation(2, 'public.stock', [{ name: 'id', identity: true }])
const OTHER = relation(3, 'public.other', [{ name: 'id', identity: true }])

function assembler() {
  const seen: string[] = []
  const made = new TransactionAssembler(SOURCE, {
    onUnknown: (tag) => seen.push(`unknown ${tag}`),
    onFloor: (keyspace, cause) => seen.push(`${cause} ${keyspace.name}`),
    onShapeChanged: (plan) => seen.push(`shape of ${plan.table}`),
    onProjectionLacking: (plan) => seen.push(`projection of ${plan.table}`),
    onInvalidationMessage: (outcome, reason) => seen.push(`message ${outcome}${reason ? `: ${reason}` : ''}`),
  })
  const feed = (...messages: readonly Buffer[]) => messages.map((m) => made.accept(parseMessage(m))).at(-1)
  return { made, seen, feed }
}

function summary(transaction: Transaction | undefined) {
  if (!transaction) return undefined
  return {
    keys: Object.fromEntries([...transaction.keys].map(([k, keys]) => [k.name, [...keys]])),
    floors: [...transaction.floors].map((k) => k.name),
  }
}

function rows(count: number, from = 0): Buffer[] {
  return Array.from({ length: count }, (_, i) => insert(1, [String(from + i)]))
}

test('a transaction ends at its Commit, with the version’s LSN, its end, its xid and its time', () => {
  const { feed } = assembler()
  expect(feed(begin(10n, 5), PRODUCT, insert(1, ['7']))).toBeUndefined()
  expect(feed(commit(10n, 30n))).toMatchObject({ commitLsn: 10n, endLsn: 30n, xid: 5, commitTimeUs: BEGIN_TIME_US })
})

test('a row of two keyspaces gives a key in each; a key that changes again is there once', () => {
  const { feed } = assembler()
  const transaction = feed(
    begin(10n, 5),
    PRODUCT,
    STOCK,
    insert(1, ['7']),
    insert(1, ['7']),
    insert(2, ['8']),
    commit(10n, 30n),
  )
  expect(summary(transaction)).toEqual({ keys: { products: ['product:7'], stock: ['stock:7', 'stock:8'] }, floors: [] })
})

test('a table that no keyspace names gives a transaction without keys, which still moves the position', () => {
  const { feed } = assembler()
  expect(summary(feed(begin(10n, 5), OTHER, insert(3, ['7']), commit(10n, 30n)))).toEqual({ keys: {}, floors: [] })
})

test('as many keys as the keyspace allows are keys; one more and it is one floor, and the keys are forgotten', () => {
  const { feed, seen } = assembler()
  expect(summary(feed(begin(10n, 5), PRODUCT, ...rows(3), commit(10n, 30n)))).toMatchObject({ floors: [] })
  const bulk = feed(begin(30n, 6), ...rows(5), commit(30n, 50n))
  expect(summary(bulk)).toEqual({
    keys: { stock: ['stock:0', 'stock:1', 'stock:2', 'stock:3', 'stock:4'] },
    floors: ['products'],
  })
  expect(seen).toEqual(['bulk products'])
})

test('what a transaction holds in memory does not grow once its keyspaces are floors', () => {
  const { made, feed } = assembler()
  feed(begin(10n, 5), PRODUCT, truncate(1))
  const before = made.openBytes
  feed(...rows(1000))
  expect(made.openBytes).toBe(before)
})

test('a TRUNCATE is a floor of every keyspace of every relation that it names, and nothing of the others', () => {
  const { feed, seen } = assembler()
  const transaction = feed(begin(10n, 5), STOCK, OTHER, truncate(2, 3), commit(10n, 30n))
  expect(summary(transaction)).toEqual({ keys: {}, floors: ['stock'] })
  expect(seen).toEqual(['truncate stock'])
})

test('a floor in the middle of a transaction takes the keys before it and those after it', () => {
  const { feed } = assembler()
  const transaction = feed(
    begin(10n, 5),
    PRODUCT,
    STOCK,
    insert(2, ['1']),
    truncate(2),
    insert(2, ['2']),
    commit(10n, 30n),
  )
  expect(summary(transaction)).toEqual({ keys: {}, floors: ['stock'] })
})

test('a template column of another type is a floor for the table’s keyspaces, also across connections', () => {
  const { made, feed, seen } = assembler()
  feed(begin(10n, 5), PRODUCT, insert(1, ['7']), commit(10n, 30n))
  made.reset()
  const retyped = relation(1, 'public.product', [{ name: 'id', identity: true, typeOid: 20 }])
  expect(summary(feed(begin(30n, 6), retyped, insert(1, ['7']), commit(30n, 50n)))).toEqual({
    keys: {},
    floors: ['products', 'stock'],
  })
  expect(seen).toEqual(['shape of public.product', 'shape products', 'shape stock'])
  expect(summary(feed(begin(50n, 7), retyped, insert(1, ['7']), commit(50n, 70n)))).toMatchObject({ floors: [] })
})

test('a relation that has lost a template column is a floor from its first description on', () => {
  const { feed } = assembler()
  const transaction = feed(
    begin(10n, 5),
    relation(1, 'public.product', [{ name: 'ident' }]),
    insert(1, ['7']),
    commit(10n, 30n),
  )
  expect(summary(transaction)).toEqual({ keys: {}, floors: ['products', 'stock'] })
})

test('a projection that lacks a column is told of once for each shape of the table, and costs no floor at first', () => {
  const seen: string[] = []
  const source = defineSource({
    name: 'shop',
    keyspaces: {
      products: {
        key: 'product:{id}',
        tables: { 'public.product': { id: 'id' } },
        contract: { reaction: 'update' },
        projection: { name: { column: 'name' } },
      },
    },
  })
  const made = new TransactionAssembler(source, {
    onUnknown: () => undefined,
    onFloor: (_, cause) => seen.push(cause),
    onShapeChanged: () => seen.push('shape changed'),
    onProjectionLacking: () => seen.push('projection lacking'),
    onInvalidationMessage: () => undefined,
  })
  const described = (lsn: bigint, ...names: readonly string[]) => {
    made.reset()
    const columns = names.map((name) => ({ name, identity: name === 'id' }))
    const messages = [begin(lsn, 5), relation(1, 'public.product', columns), commit(lsn, lsn + 10n)]
    for (const message of messages) made.accept(parseMessage(message))
    return seen.splice(0)
  }
  expect(described(10n, 'id')).toEqual(['projection lacking'])
  expect(described(20n, 'id')).toEqual([])
  expect(described(30n, 'id', 'name')).toEqual(['shape changed', 'shape'])
  expect(described(40n, 'id', 'name')).toEqual([])
  expect(described(50n, 'id', 'label')).toEqual(['projection lacking', 'shape changed', 'shape'])
})

test('an unknown message is counted and skipped', () => {
  const { feed, seen } = assembler()
  expect(summary(feed(begin(10n, 5), Buffer.from('A?'), PRODUCT, insert(1, ['7']), commit(10n, 30n)))).toMatchObject({
    keys: { products: ['product:7'] },
  })
  expect(seen).toEqual(['unknown 65'])
})

test.each([
  ['a message that cannot be read', [begin(10n, 5), PRODUCT, insert(1, ['7']).subarray(0, 7)]],
  ['a change of a relation that was not described', [begin(10n, 5), insert(1, ['7'])]],
  ['a change outside a transaction', [begin(10n, 5), PRODUCT, commit(10n, 30n), insert(1, ['7'])]],
  ['a transaction inside another', [begin(10n, 5), begin(20n, 6)]],
  ['a Commit of another transaction', [begin(10n, 5), commit(20n, 30n)]],
])('%s breaks the stream: going on would lose changes', (_, messages) => {
  const { feed } = assembler()
  expect(() => feed(...messages)).toThrow(/STREAM_BROKEN/)
})

test('a transaction that was cut off is forgotten with its connection', () => {
  const { made, feed } = assembler()
  feed(begin(10n, 5), PRODUCT, insert(1, ['7']))
  made.reset()
  expect(made.openCommitLsn).toBeUndefined()
  expect(summary(feed(begin(10n, 5), PRODUCT, insert(1, ['8']), commit(10n, 30n)))).toMatchObject({
    keys: { products: ['product:8'] },
  })
})
