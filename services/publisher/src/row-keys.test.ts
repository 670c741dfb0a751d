import { expect, test } from '@jest/globals'
import { defineSource, type Keyspace } from '@tidemark/protocol'
import { parseMessage, type Relation, type RowChange } from './pgoutput.ts'
import { planRelation } from './relation-plan.ts'
import { keysOfChange } from './row-keys.ts'
import { insert, relation, remove, update } from './testing/pgoutput-bytes.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: { reviews: { key: 'reviews:{product}', tables: { 'public.review': { product: 'product_id' } } } },
})
const OID = 9
const COLUMNS = [{ name: 'id', identity: true }, { name: 'product_id', identity: true }, { name: 'text' }]

function keysOf(bytes: Buffer, columns = COLUMNS) {
  const plan = planRelation(parseMessage(relation(OID, 'public.review', columns)) as Relation, SOURCE)
  const found: string[] = []
  keysOfChange(plan, parseMessage(bytes) as RowChange, {
    addKey: (_: Keyspace, key) => found.push(key),
    addFloor: (keyspace, cause) => found.push(`${cause} floor of ${keyspace.name}`),
    isFloor: () => false,
    takesProjections: true,
  })
  return found
}

test('an insert gives the new row’s key, a delete the old row’s, from a key image and from a whole one', () => {
  expect(keysOf(insert(OID, ['1', '7', 'x']))).toEqual(['reviews:7'])
  expect(keysOf(remove(OID, 'K', ['1', '7', null]))).toEqual(['reviews:7'])
  expect(keysOf(remove(OID, 'O', ['1', '7', 'x']))).toEqual(['reviews:7'])
})

test('an update that moves the row to another key gives both', () => {
  const moved = update(OID, ['1', '8', 'x'], { image: 'K', columns: ['1', '7', null] })
  expect(keysOf(moved)).toEqual(['reviews:7', 'reviews:8'])
})

test('an update without an old image did not touch the replica identity: its key is the new row’s', () => {
  expect(keysOf(update(OID, ['1', '7', 'y']))).toEqual(['reviews:7'])
})

test('an unchanged TOASTed template column takes the old image’s value', () => {
  const toasted = update(OID, ['2', 'u!', 'x'], { image: 'O', columns: ['1', '7', 'x'] })
  expect(keysOf(toasted)).toEqual(['reviews:7', 'reviews:7'])
})

test('an unchanged TOASTed template column that no image holds is a floor, never read as null', () => {
  expect(keysOf(update(OID, ['1', 'u!', 'x']))).toEqual(['unreadable floor of reviews'])
})

test('an unchanged TOASTed column that no template needs does not matter', () => {
  expect(keysOf(update(OID, ['1', '7', 'u!']))).toEqual(['reviews:7'])
})

test('a null names no key: the other image’s key remains', () => {
  expect(keysOf(insert(OID, ['1', null, 'x']))).toEqual([])
  const orphaned = update(OID, ['1', null, 'x'], { image: 'K', columns: ['1', '7', null] })
  expect(keysOf(orphaned)).toEqual(['reviews:7'])
})

test('a key that is too long to be cached is no key', () => {
  expect(keysOf(insert(OID, ['1', 'x'.repeat(2000), 'x']))).toEqual([])
})

test('once the replica identity does not carry a template column, every change is a floor', () => {
  const weaker = [COLUMNS[0]!, { name: 'product_id' }, COLUMNS[2]!]
  expect(keysOf(update(OID, ['1', '7', 'x']), weaker)).toEqual(['shape floor of reviews'])
  expect(keysOf(remove(OID, 'K', ['1', null, null]), weaker)).toEqual(['shape floor of reviews'])
})
