import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { parseMessage, type Relation } from './pgoutput.ts'
import { Relations } from './relations.ts'
import { type ColumnSpec, relation } from './testing/pgoutput-bytes.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    visits: { key: 'visit:{id}', tables: { 'public.visit': { id: 'id' } } },
    places: { key: 'place:{place}', tables: { 'public.visit': { place: 'place' } } },
    items: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } } },
  },
})
const FULL: readonly ColumnSpec[] = [
  { name: 'id', identity: true },
  { name: 'place', identity: true },
]
const KEY_ALONE: readonly ColumnSpec[] = [{ name: 'place' }, { name: 'id', identity: true }]

function describe(oid: number, table: string, columns = FULL): Relation {
  return parseMessage(relation(oid, table, columns)) as Relation
}

/** The keyspaces that a change of the relation has keys in, and those that it makes a floor. */
function planned(relations: Relations, oid: number) {
  const keyspaces = relations.ofRow(oid)?.keyspaces ?? []
  const names = (keyed: boolean) =>
    keyspaces.flatMap((k) => ((k.columnOf !== undefined) === keyed ? [k.keyspace.name] : []))
  return { keyed: names(true), floors: names(false) }
}

test('a partition that is described after its root, with a weaker identity, weakens the root, whose columns stay its own', () => {
  const relations = new Relations(SOURCE)
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(2, 'public.visit_low', KEY_ALONE))
  expect(planned(relations, 1)).toEqual({ keyed: ['visits'], floors: ['places'] })
  expect(Object.fromEntries(relations.ofRow(1)!.keyspaces[0]!.columnOf!)).toEqual({ id: 0 })
})

test('it stays so until the connection ends: no change says which partition it is of', () => {
  const relations = new Relations(SOURCE)
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(2, 'public.visit_low', KEY_ALONE))
  relations.ofRow(1)
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(3, 'public.visit_high'))
  expect(planned(relations, 1).floors).toEqual(['places'])
  relations.forgetConnection()
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(3, 'public.visit_high'))
  expect(planned(relations, 1).floors).toEqual([])
})

test('tables that are truncated together are described one after the other, too, and weaken nothing', () => {
  const relations = new Relations(SOURCE)
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(9, 'public.other', KEY_ALONE))
  for (const oid of [1, 9]) relations.ofTruncate(oid)
  expect(planned(relations, 1)).toEqual({ keyed: ['visits', 'places'], floors: [] })
})

test('a table is known by its oid under any other name, from the catalog or from the stream', () => {
  const seeded = new Relations(SOURCE)
  seeded.seed(new Map([['public.item', 5]]))
  const streamed = new Relations(SOURCE)
  streamed.learn(describe(5, 'public.item'))
  for (const relations of [seeded, streamed]) {
    expect(relations.learn(describe(5, 'public.away')).changed).toBe(true)
    expect(planned(relations, 5)).toEqual({ keyed: [], floors: ['items'] })
    relations.learn(describe(5, 'public.item'))
    expect(planned(relations, 5)).toEqual({ keyed: ['items'], floors: [] })
  }
})

test('another table under a known name is a change, once', () => {
  const relations = new Relations(SOURCE)
  relations.seed(new Map([['public.item', 5]]))
  expect(relations.learn(describe(6, 'public.item')).changed).toBe(true)
  expect(relations.learn(describe(6, 'public.item')).changed).toBe(false)
})

test('a partition whose old images hold less takes the values of TOASTed columns from none', () => {
  const relations = new Relations(
    defineSource({
      name: 'shop',
      keyspaces: {
        visits: {
          key: 'visit:{id}',
          tables: { 'public.visit': { id: 'id' } },
          contract: { reaction: 'update' },
          projection: { id: { column: 'id' }, place: { column: 'place' } },
        },
      },
    }),
  )
  const inOldImage = () =>
    [...relations.ofRow(1)!.keyspaces[0]!.projected!].map(([name, column]) => [name, column.index, column.inOldImage])
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(2, 'public.visit_high'))
  expect(inOldImage()).toEqual([
    ['id', 0, true],
    ['place', 1, true],
  ])
  relations.learn(describe(1, 'public.visit'))
  relations.learn(describe(3, 'public.visit_low', KEY_ALONE))
  expect(inOldImage()).toEqual([
    ['id', 0, true],
    ['place', 1, false],
  ])
})

test('a description is news the first time, and when it is another', () => {
  const relations = new Relations(SOURCE)
  const isNews = (columns: readonly ColumnSpec[]) => relations.learn(describe(5, 'public.item', columns)).isNews
  expect([isNews(FULL), isNews(FULL)]).toEqual([true, false])
  relations.forgetConnection()
  expect(isNews(FULL)).toBe(false)
  expect(isNews([{ name: 'id', identity: true, typeOid: 20 }])).toBe(true)
})

test('a relation that was not described has no plan', () => {
  expect(new Relations(SOURCE).ofRow(1)).toBeUndefined()
})
