import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { parseMessage, type Relation } from './pgoutput.ts'
import { planRelation } from './relation-plan.ts'
import { type ColumnSpec, relation } from './testing/pgoutput-bytes.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } },
    reviews: {
      key: 'reviews:{product}:{lang}',
      tables: {
        'public.review': { product: 'product_id', lang: 'lang' },
        'public.product': { product: 'id', lang: 'lang' },
      },
    },
  },
})

function plan(table: string, columns: readonly ColumnSpec[]) {
  return planRelation(parseMessage(relation(9, table, columns)) as Relation, SOURCE)
}

const PRODUCT: readonly ColumnSpec[] = [
  { name: 'name' },
  { name: 'id', identity: true },
  { name: 'lang', identity: true },
]

test('a table of two keyspaces is planned for both, each param at its column', () => {
  const { table, keyspaces } = plan('public.product', PRODUCT)
  expect(table).toBe('public.product')
  expect(keyspaces.map((k) => [k.keyspace.name, Object.fromEntries(k.columnOf ?? [])])).toEqual([
    ['products', { id: 1 }],
    ['reviews', { product: 1, lang: 2 }],
  ])
})

test('a table that no keyspace names, or of the same name in another schema, plans nothing', () => {
  expect(plan('public.other', PRODUCT).keyspaces).toEqual([])
  expect(plan('sales.product', PRODUCT).keyspaces).toEqual([])
})

test('a column that is gone, or outside the replica identity, leaves its keyspace without keys and the other as it was', () => {
  for (const columns of [PRODUCT.slice(0, 2), [...PRODUCT.slice(0, 2), { name: 'lang' }]]) {
    const [products, reviews] = plan('public.product', columns).keyspaces
    expect(products).toMatchObject({ lacking: [] })
    expect(products!.columnOf).toBeDefined()
    expect(reviews).toMatchObject({ lacking: ['lang'], columnOf: undefined })
  }
})

test('the shape changes with a template column’s type, and not with columns that no key needs or that move', () => {
  const { shape } = plan('public.product', PRODUCT)
  expect(plan('public.product', [...PRODUCT].reverse()).shape).toBe(shape)
  expect(plan('public.product', [...PRODUCT, { name: 'price' }]).shape).toBe(shape)
  const retyped = PRODUCT.map((c) => (c.name === 'id' ? { ...c, typeOid: 20 } : c))
  expect(plan('public.product', retyped).shape).not.toBe(shape)
})

const PROJECTING = defineSource({
  name: 'shop',
  keyspaces: {
    products: {
      key: 'product:{id}',
      tables: { 'public.product': { id: 'id' } },
      contract: { reaction: 'update' },
      projection: { name: { column: 'name' }, tongue: { column: 'lang' } },
    },
  },
})

function projecting(columns: readonly ColumnSpec[]) {
  return planRelation(parseMessage(relation(9, 'public.product', columns)) as Relation, PROJECTING)
}

test('a projection knows where its columns are, and which of them an old image holds', () => {
  expect(Object.fromEntries(projecting(PRODUCT).keyspaces[0]!.projected!)).toEqual({
    name: { index: 0, inOldImage: false },
    lang: { index: 2, inOldImage: true },
  })
})

test('a column that only the projection needs and that is gone leaves the keys as they were', () => {
  const [products] = projecting(PRODUCT.slice(1)).keyspaces
  expect(products).toMatchObject({ lacking: [], projected: undefined, unprojected: ['name'] })
  expect(products!.columnOf).toBeDefined()
})

test('the shape changes with a projected column’s name and type, and not with its place in the replica identity', () => {
  const { shape } = projecting(PRODUCT)
  const withName = (change: Partial<ColumnSpec>) =>
    projecting(PRODUCT.map((c) => (c.name === 'name' ? { ...c, ...change } : c))).shape
  expect(withName({ typeOid: 25 })).not.toBe(shape)
  expect(withName({ name: 'label' })).not.toBe(shape)
  expect(withName({ identity: true })).toBe(shape)
})
