import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { parseMessage, type Relation, type RowChange } from './pgoutput.ts'
import { planRelation } from './relation-plan.ts'
import { keysOfChange } from './row-keys.ts'
import { type ColumnSpec, insert, relation, remove, update } from './testing/pgoutput-bytes.ts'

const OID = 9
const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    products: {
      key: 'product:{id}',
      tables: { 'public.product': { id: 'id' } },
      contract: { reaction: 'update' },
      projection: { id: { column: 'id', as: 'number' }, name: { column: 'title' } },
    },
  },
})
const KEYED: readonly ColumnSpec[] = [{ name: 'id', identity: true }, { name: 'title' }, { name: 'n' }]
const FULL = KEYED.map((c) => ({ ...c, identity: true }))

/** The keys of a change in their order, and what each is given. */
function projectionsOf(bytes: Buffer, columns = KEYED, takesProjections = true) {
  const plan = planRelation(parseMessage(relation(OID, 'public.product', columns)) as Relation, SOURCE)
  const found: unknown[] = []
  keysOfChange(plan, parseMessage(bytes) as RowChange, {
    addKey: (_, key, projection) => found.push([key, projection && JSON.parse(projection.toString())]),
    addFloor: (keyspace, cause) => found.push(`${cause} floor of ${keyspace.name}`),
    isFloor: () => false,
    takesProjections,
  })
  return found
}

test('an insert and an update carry what the row is afterwards, a delete nothing', () => {
  expect(projectionsOf(insert(OID, ['1', 'Läufer', '0']))).toEqual([['product:1', { id: 1, name: 'Läufer' }]])
  expect(projectionsOf(update(OID, ['1', null, '0']))).toEqual([['product:1', { id: 1, name: null }]])
  expect(projectionsOf(remove(OID, 'K', ['1', null, null]))).toEqual([['product:1', undefined]])
})

test('a row that moves leaves nothing under its old key and all of it under the new one', () => {
  const moved = update(OID, ['2', 'a', '0'], { image: 'K', columns: ['1', null, null] })
  expect(projectionsOf(moved)).toEqual([
    ['product:1', undefined],
    ['product:2', { id: 2, name: 'a' }],
  ])
})

test('an unchanged TOASTed value comes from an old image that holds it, and from no other', () => {
  const whole = update(OID, ['1', 'u!', '1'], { image: 'O', columns: ['1', 'long', '0'] })
  expect(projectionsOf(whole, FULL)).toEqual([
    ['product:1', undefined],
    ['product:1', { id: 1, name: 'long' }],
  ])
  expect(projectionsOf(update(OID, ['1', 'u!', '1']))).toEqual([['product:1', undefined]])
  // A key image has a null where the value was.
  const keyAlone = update(OID, ['2', 'u!', '1'], { image: 'K', columns: ['1', null, null] })
  expect(projectionsOf(keyAlone)).toEqual([
    ['product:1', undefined],
    ['product:2', undefined],
  ])
})

test('an unchanged TOASTed value that the projection does not show does not matter', () => {
  expect(projectionsOf(update(OID, ['1', 'a', 'u!']))).toEqual([['product:1', { id: 1, name: 'a' }]])
})

test('a column of the projection that is gone takes the projections away and leaves the keys', () => {
  const renamed = [KEYED[0]!, { name: 'label' }, KEYED[2]!]
  expect(projectionsOf(update(OID, ['1', 'a', '0']), renamed)).toEqual([['product:1', undefined]])
})

test('columns that move about are found by their names', () => {
  const turned = [...KEYED].reverse()
  expect(projectionsOf(insert(OID, ['0', 'a', '1']), turned)).toEqual([['product:1', { id: 1, name: 'a' }]])
})

test('what nobody takes is not made', () => {
  expect(projectionsOf(insert(OID, ['1', 'a', '0']), KEYED, false)).toEqual([['product:1', undefined]])
})
