import { expect, test } from '@jest/globals'
import { defineSource, type KeyValue, type ParamsOf } from '@tidemark/protocol'
import pg from 'pg'
import { type Cache, type Connection, openTidemark, type Reading, tag } from './index.ts'
import { ScriptedPool } from './testing/scripted-pools.ts'

// What is inferred from the source to the value: `tsc` is the test, and what is expected to fail must.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Does not compile unless the types are the same; `any` is the same as nothing else. */
const same = <A, B>(..._: Same<A, B> extends true ? [] : ['the types differ', A, B]): void => undefined

interface Product {
  readonly id: number
  readonly cents: number
}

const source = defineSource({
  name: 'shop',
  keyspaces: {
    product: { key: 'product:{id}', tables: {} },
    price: { key: 'price:{country}:{id}', tables: {} },
    banner: { key: 'banner', tables: {} },
  },
})

const unused = { mgetBuffer: async () => [null, null], evalsha: async () => [], eval: async () => [] }
const tidemark = await openTidemark({ source, redis: unused, primary: new ScriptedPool() })

test('the parameters of a key come from its template', () => {
  same<ParamsOf<'product:{id}'>, { readonly id: KeyValue }>()
  same<ParamsOf<'price:{country}:{id}'>, { readonly country: KeyValue; readonly id: KeyValue }>()
  const price = tidemark.cache('price', {
    load: async (_db, params) => {
      same<typeof params, { readonly country: KeyValue; readonly id: KeyValue }>()
      return 1
    },
  })
  const banner = tidemark.cache('banner', { load: async () => 'hello' })
  const reads = () => [
    price.get({ country: 'de', id: 1 }),
    banner.get({}),
    // @ts-expect-error a parameter is missing
    price.get({ id: 1 }),
    // @ts-expect-error the key has no such parameter
    price.get({ country: 'de', id: 1, colour: 'red' }),
    // @ts-expect-error no key is made of an object
    price.get({ country: 'de', id: {} }),
    // @ts-expect-error the source has no such keyspace
    tidemark.cache('prices', { load: async () => 1 }),
  ]
  expect(reads).toBeDefined()
})

test('the type of the value comes from the load, to every way of reading it', () => {
  const product = tidemark.cache('product', {
    load: async (db) => (await db.query<Product>('select 1')).rows[0],
  })
  same<typeof product, Cache<{ readonly id: KeyValue }, Product | undefined>>()
  const reads = async () => {
    const value = await product.get({ id: 1 })
    same<typeof value, Product | undefined>()
    const reading = await product.read({ id: 1 })
    same<typeof reading, Reading<Product | undefined>>()
    same<typeof reading.freshness, 'fresh' | 'stale'>()
    const values = await product.getMany([{ id: 1 }])
    same<typeof values, (Product | undefined)[]>()
    // @ts-expect-error there may be no such row
    value.cents.toFixed()
    // @ts-expect-error of what was read nothing is to be changed
    reading.value = undefined
  }
  expect(reads).toBeDefined()
})

test('a batched load has the parameters of all, and gives values of the one type', () => {
  const both = {
    load: async (_db: Connection, { id }: { id: KeyValue }) => String(id),
    loadMany: async (_db: Connection, all: readonly { id: KeyValue }[]) => all.map(({ id }) => String(id)),
  }
  const product = tidemark.cache('product', both)
  same<typeof product, Cache<{ readonly id: KeyValue }, string>>()
  const mistake = () =>
    tidemark.cache('product', {
      // @ts-expect-error values of another type than those that are loaded together
      load: async () => 'text',
      loadMany: async () => [1],
    })
  expect(mistake).toBeDefined()
})

test('an app may ask for its driver’s own connections', () => {
  const product = tidemark.cache('product', {
    load: async (db: pg.PoolClient, { id }) => {
      same<typeof id, KeyValue>()
      return (await db.query<Product>({ text: 'select 1', name: 'product' })).rows
    },
  })
  same<typeof product, Cache<{ readonly id: KeyValue }, Product[]>>()
  expect(pg.Pool).toBeDefined()
})

test('a dependency names a keyspace of the source, with its parameters', () => {
  const product = tidemark.cache('product', {
    load: async (): Promise<Product | undefined> => undefined,
    dependsOn: ({ id }, value) => {
      same<typeof value, Product | undefined>()
      return [{ keyspace: 'price', params: { country: 'de', id } }, { keyspace: 'banner', params: {} }, tag('sale')]
    },
  })
  same<typeof product, Cache<{ readonly id: KeyValue }, Product | undefined>>()
  const mistakes = () => [
    // @ts-expect-error a parameter of the other key is missing
    tidemark.cache('product', { load: async () => 1, dependsOn: ({ id }) => [{ keyspace: 'price', params: { id } }] }),
    // @ts-expect-error the source has no such keyspace
    tidemark.cache('product', { load: async () => 1, dependsOn: () => [{ keyspace: 'prices', params: {} }] }),
  ]
  expect(mistakes).toBeDefined()
})
