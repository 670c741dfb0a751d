import { describe, expect, test } from '@jest/globals'
import { MAX_DEPENDENCIES } from '@tidemark/guard'
import { defineSource } from '@tidemark/protocol'
import { checkMayDepend, keysOf, tag } from './dependency.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    product: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } },
    products: { key: 'products', tables: { 'public.product': {} } },
    prices: {
      key: 'price:{id}',
      tables: { 'public.price': { id: 'id' } },
      contract: { reaction: 'update' },
      projection: { id: { column: 'id' } },
    },
    secrets: { key: 'secret:{id}', tables: {}, contract: { reaction: 'bypass' } },
  },
})

describe('the keys of dependencies', () => {
  test('are those of rows, of tags and of whole tables, each once', () => {
    const products = { keyspace: 'products', params: {} }
    const rows = ['1', '2', '1'].map((id) => ({ keyspace: 'product', params: { id } }))
    expect(keysOf(SOURCE, [...rows, tag('sale'), products])).toEqual(['product:1', 'product:2', 'tag:sale', 'products'])
  })

  test('are refused where a keyspace is not of the source, or params do not fit', () => {
    expect(() => keysOf(SOURCE, [{ keyspace: 'cart', params: { id: 1 } }])).toThrow(/KEYSPACE_UNKNOWN/)
    expect(() => keysOf(SOURCE, [{ keyspace: 'product', params: {} }])).toThrow(/KEY_PARAMS_INVALID/)
    expect(() => keysOf(SOURCE, [tag('x'.repeat(2_000))])).toThrow(/KEY_PARAMS_INVALID/)
  })

  test('are bounded, and the error names what to do', () => {
    const many = (count: number) => Array.from({ length: count }, (_, id) => ({ keyspace: 'product', params: { id } }))
    expect(keysOf(SOURCE, many(MAX_DEPENDENCIES))).toHaveLength(MAX_DEPENDENCIES)
    expect(() => keysOf(SOURCE, many(MAX_DEPENDENCIES + 1))).toThrow(/VALUE_UNCACHEABLE.*1001 keys.*a tag/)
  })
})

test('what is written by workers, or never cached, may have no dependencies', () => {
  expect(() => checkMayDepend(SOURCE.keyspaces.prices)).toThrow(/CONFIG_INVALID.*prices/)
  expect(() => checkMayDepend(SOURCE.keyspaces.secrets)).toThrow(/CONFIG_INVALID.*secrets/)
  expect(() => checkMayDepend(SOURCE.keyspaces.product)).not.toThrow()
})
