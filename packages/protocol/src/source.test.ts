import { describe, expect, test } from '@jest/globals'
import { isTidemarkError } from './errors.ts'
import type { KeyValue } from './key-template.ts'
import { defineSource, keyspaceOf, keyspaceOfKey, type ParamsOf, type SourceConfig } from './source.ts'

const shop = {
  name: 'my-shop',
  keyspaces: {
    product: { key: 'product:{id}', tables: { 'public.products': { id: 'id' }, 'public.stock': { id: 'product_id' } } },
    line: { key: 'order:{order}:line:{no}', tables: { 'public.lines': { order: 'order_id', no: 'line_no' } } },
  },
} as const satisfies SourceConfig

function mistakesOf(config: unknown): string[] {
  try {
    defineSource(config as SourceConfig)
  } catch (error) {
    if (!isTidemarkError(error, 'CONFIG_INVALID')) throw error
    const [head, ...mistakes] = error.message.split('\n  ')
    expect(head).toBe(`CONFIG_INVALID: ${mistakes.length} mistake(s) in the source:`)
    return mistakes
  }
  return []
}

test('names and contracts that are not given follow from the source’s name and the defaults', () => {
  const source = defineSource(shop)
  expect(source).toMatchObject({
    name: 'my-shop',
    partitions: 16,
    topic: 'tidemark.my-shop',
    publication: 'tidemark_my_shop',
    slot: 'tidemark_my_shop',
    keyPrefix: 'tm',
    clockSkewMs: 500,
  })
  expect(source.keyspaces.product).toMatchObject({
    name: 'product',
    key: 'product:{id}',
    template: { params: ['id'] },
    tables: shop.keyspaces.product.tables,
    maxKeysPerTransaction: 10_000,
    contract: { maxStalenessMs: 10_000, retainStaleMs: 0, whenUnprovable: 'fail' },
  })
})

test('what is given is kept', () => {
  const given = { partitions: 64, topic: 't', publication: 'p', slot: 's', keyPrefix: 'x', clockSkewMs: 0 }
  const product = {
    ...shop.keyspaces.product,
    contract: { whenUnprovable: 'serve-stale', ttlMs: 5 },
    maxKeysPerTransaction: 1,
  }
  const source = defineSource({ ...shop, ...given, keyspaces: { product } } as SourceConfig)
  expect(source).toMatchObject(given)
  expect(source.keyspaces.product).toMatchObject({
    contract: { whenUnprovable: 'serve-stale', ttlMs: 5, maxStalenessMs: 10_000 },
    maxKeysPerTransaction: 1,
  })
})

const withProduct = (change: object) => ({ ...shop, keyspaces: { product: { ...shop.keyspaces.product, ...change } } })

test.each<[string, unknown, string | RegExp]>([
  ['nothing at all', undefined, /^\(top\): .*expected object/],
  ['null', null, /^\(top\): .*expected object/],
  ['no name', { keyspaces: shop.keyspaces }, /^name: /],
  [
    'a name in capitals',
    { ...shop, name: 'Shop' },
    'name: must start with a lower-case letter and hold only a-z, 0-9, _ and -',
  ],
  ['a name that is too long', { ...shop, name: 'x'.repeat(41) }, /^name: Too big/],
  ['no partitions', { ...shop, partitions: 0 }, /^partitions: Too small/],
  ['half a partition', { ...shop, partitions: 1.5 }, /^partitions: .*int/],
  ['too many partitions', { ...shop, partitions: 5_000 }, /^partitions: Too big/],
  ['a topic that Kafka refuses', { ...shop, topic: 'a/b' }, /^topic: /],
  ['a publication that needs quotes', { ...shop, publication: 'My Publication' }, /^publication: /],
  ['a slot that Postgres refuses', { ...shop, slot: 'my-slot' }, /^slot: /],
  [
    'a key prefix that holds a hash tag',
    { ...shop, keyPrefix: 'a{b}' },
    'keyPrefix: must hold only letters, digits, _ . and -',
  ],
  ['a negative clock skew', { ...shop, clockSkewMs: -1 }, /^clockSkewMs: Too small/],
  ['a field that there is not', { ...shop, partition: 16 }, /^\(top\): Unrecognized key: "partition"/],
  ['no keyspaces', { name: 'shop' }, /^keyspaces: /],
  ['an empty set of keyspaces', { name: 'shop', keyspaces: {} }, 'keyspaces: name at least one'],
  [
    'a keyspace’s name in capitals',
    { ...shop, keyspaces: { Product: shop.keyspaces.product } },
    'keyspaces.Product: must start with a lower-case letter and hold only a-z, 0-9, _ and -',
  ],
  ['a keyspace that is nothing', { ...shop, keyspaces: { product: null } }, /^keyspaces\.product: .*expected object/],
  ['no key', withProduct({ key: undefined }), /^keyspaces\.product\.key: /],
  [
    'a key that is no template',
    withProduct({ key: 'product:{id' }),
    /^keyspaces\.product\.key: segment "\{id" is neither/,
  ],
  ['no word on tables', withProduct({ tables: undefined }), /^keyspaces\.product\.tables: .*expected record/],
  [
    'a keyspace with the name of the tags’ own',
    { ...shop, keyspaces: { tag: { key: 'label:{id}', tables: {} } } },
    'keyspaces.tag: the name is reserved for tags',
  ],
  [
    'keys that could be tags',
    { ...shop, keyspaces: { label: { key: 'tag:{id}', tables: {} } } },
    'keyspaces.label.key: a key of tag:{id} could also be one of tag:{name} (keyspace tag); give them different literals',
  ],
  [
    'tables that are no object',
    withProduct({ tables: 'public.products' }),
    /^keyspaces\.product\.tables: .*expected record/,
  ],
  [
    'columns that are no object',
    withProduct({ tables: { 'public.products': 'id' } }),
    /^keyspaces\.product\.tables\.public\.products: .*expected record/,
  ],
  [
    'a table without its schema',
    withProduct({ tables: { products: { id: 'id' } } }),
    'keyspaces.product.tables.products: must be schema.table, spelt as in the catalog',
  ],
  [
    'a table that says no column for a param',
    withProduct({ tables: { 'public.products': {} } }),
    'keyspaces.product.tables.public.products: says no column for {id}',
  ],
  [
    'a column for a param that the key has not',
    withProduct({ tables: { 'public.products': { id: 'id', sku: 'sku' } } }),
    'keyspaces.product.tables.public.products.sku: the key has no {sku}',
  ],
  ['a column without a name', withProduct({ tables: { 'public.products': { id: '' } } }), /\.id: Too small/],
  [
    'a contract’s field that there is not',
    withProduct({ contract: { ttl: 1 } }),
    /^keyspaces\.product\.contract: Unrecognized key/,
  ],
  ['a staleness of nothing', withProduct({ contract: { maxStalenessMs: 0 } }), /\.contract\.maxStalenessMs: Too small/],
  [
    'a reaction that there is not',
    withProduct({ contract: { whenUnprovable: 'hope' } }),
    /\.contract\.whenUnprovable: /,
  ],
  ['a bulk bound of nothing', withProduct({ maxKeysPerTransaction: 0 }), /\.maxKeysPerTransaction: Too small/],
  [
    'keys that could be of two keyspaces',
    {
      ...shop,
      keyspaces: { ...shop.keyspaces, other: { key: 'product:{sku}', tables: { 'public.skus': { sku: 'sku' } } } },
    },
    'keyspaces.other.key: a key of product:{sku} could also be one of product:{id} (keyspace product); give them different literals',
  ],
])('%s: one mistake, at its place', (_, config, message) => {
  const mistakes = mistakesOf(config)
  expect(mistakes).toHaveLength(1)
  if (typeof message === 'string') expect(mistakes[0]).toBe(message)
  else expect(mistakes[0]).toMatch(message)
})

test('all mistakes are reported at once, those of the shape and those of the templates', () => {
  const mistakes = mistakesOf({
    name: 'Shop',
    partitions: 0,
    keyspaces: {
      a: { key: 'x:{id}', tables: { 'public.x': { sku: 'sku' } } },
      b: { key: 'x:{no}', tables: { 'public.x': { no: 'no' } }, contract: { ttlMs: 'long' } },
      c: { key: '{x}', tables: {} },
    },
  })
  expect(mistakes.map((mistake) => mistake.slice(0, mistake.indexOf(': '))).sort()).toEqual([
    'keyspaces.a.tables.public.x',
    'keyspaces.a.tables.public.x.sku',
    'keyspaces.b.contract.ttlMs',
    'keyspaces.b.key',
    'keyspaces.c.key',
    'name',
    'partitions',
  ])
})

test('a keyspace is found by its name, and a name that is none is refused with those there are', () => {
  const source = defineSource(shop)
  expect(keyspaceOf(source, 'line')).toBe(source.keyspaces.line)
  for (const name of ['products', '', 'constructor', '__proto__']) {
    expect(() => keyspaceOf(source, name)).toThrow(
      `KEYSPACE_UNKNOWN: source my-shop has no keyspace ${JSON.stringify(name)}. It has product, line`,
    )
  }
})

test('a keyspace may have no tables: messages alone change it', () => {
  expect(defineSource(withProduct({ tables: {} })).keyspaces.product!.tables).toEqual({})
})

test.each([
  ['product:42', 'product'],
  ['product:', 'product'],
  ['product:Müller%20&%20Söhne', 'product'],
  ['tag:sale', 'tag'],
  ['order:1:line:2', 'line'],
  ['product:4 2', undefined],
  ['product:%41', undefined],
  ['product:%3a', undefined],
  ['product:\ud800', undefined],
  [`product:${'x'.repeat(1024)}`, undefined],
  ['prodcut:42', undefined],
  ['product', undefined],
  ['product:42:reviews', undefined],
  ['', undefined],
])('the keyspace of %j is %s', (key, name) => {
  expect(keyspaceOfKey(defineSource(shop), key)?.name).toBe(name)
})

test('types: the parameters of a key are those of its template', () => {
  const source = defineSource(shop)
  const line: ParamsOf<(typeof source.keyspaces.line)['key']> = { order: 1n, no: 'a' }
  // @ts-expect-error a param is missing
  const missing: ParamsOf<'order:{order}:line:{no}'> = { order: 1 }
  // @ts-expect-error there is no such param
  const extra: ParamsOf<'product:{id}'> = { id: 1, sku: 'a' }
  // @ts-expect-error a date does not print as Postgres prints it
  const date: ParamsOf<'product:{id}'> = { id: new Date(0) }
  // @ts-expect-error there is no such keyspace
  const unknown = source.keyspaces.products
  const dynamic: ParamsOf<string> = { whatever: true as KeyValue }
  expect([line, missing, extra, date, dynamic]).toHaveLength(5)
  expect(unknown).toBeUndefined()
})

test('types: a config’s slip is seen before it runs', () => {
  // @ts-expect-error a table's columns are text
  const columns: SourceConfig = { name: 'shop', keyspaces: { p: { key: 'p:{id}', tables: { 'public.p': { id: 1 } } } } }
  // @ts-expect-error whenUnprovable is one of two
  const contract: SourceConfig['keyspaces'][string]['contract'] = { whenUnprovable: 'hope' }
  expect([columns, contract]).toHaveLength(2)
})

describe('a reaction', () => {
  const keyspace = { key: 'price:{id}', tables: { 'public.price': { id: 'id' } } }
  const source = (contract: object, more: object = {}) =>
    defineSource({ name: 'shop', keyspaces: { price: { ...keyspace, contract, ...more } } })

  test('of updating in place takes one table and a projection', () => {
    const projection = { cents: { column: 'cents', as: 'number' } }
    expect(source({ reaction: 'update' }, { projection }).keyspaces.price!.projection).toEqual(projection)
    expect(() => source({ reaction: 'update' })).toThrow("keyspaces.price.projection: reaction 'update' needs one")
    expect(() => source({ reaction: 'update' }, { projection: {} })).toThrow('needs one')
    expect(() => source({ reaction: 'update' }, { projection, tables: {} })).toThrow('name one table')
    expect(() => source({}, { projection })).toThrow("is for reaction 'update' alone")
  })

  test('of refreshing takes what may be served meanwhile', () => {
    const promise = { reaction: 'refresh', whenUnprovable: 'serve-stale', retainStaleMs: 60_000 }
    expect(source(promise).keyspaces.price!.contract).toMatchObject(promise)
    expect(() => source({ ...promise, whenUnprovable: 'fail' })).toThrow("reaction 'refresh' needs")
    expect(() => source({ ...promise, retainStaleMs: 0 })).toThrow("reaction 'refresh' needs")
  })
})
