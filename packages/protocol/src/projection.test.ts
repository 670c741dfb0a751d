import { expect, test } from '@jest/globals'
import { MAX_PROJECTION_BYTES, misfitOf, type Projection, projectRow } from './projection.ts'

const PROJECTION: Projection = {
  id: { column: 'id', as: 'number' },
  name: { column: 'title', as: 'text' },
  sold: { column: 'is_sold', as: 'boolean' },
  more: { column: 'attributes', as: 'json' },
}
const ROW = { id: '7', title: 'Läufer', is_sold: 'f', attributes: '{"a": [1, null]}' }

function projected(row: Readonly<Record<string, string | null>>, projection: Projection = PROJECTION): unknown {
  const payload = projectRow(projection, (column) => row[column])
  return payload && JSON.parse(payload.toString())
}

test('a row becomes the value that its projection says', () => {
  expect(projected(ROW)).toEqual({ id: 7, name: 'Läufer', sold: false, more: { a: [1, null] } })
  expect(projected({ ...ROW, title: null, is_sold: 't' })).toMatchObject({ name: null, sold: true })
})

test('an image that does not hold a column is no value', () => {
  const { title: _, ...rest } = ROW
  expect(projected(rest)).toBeUndefined()
})

test('what a number or a boolean cannot hold exactly is no value', () => {
  for (const id of ['9007199254740993', 'NaN', 'Infinity', '1e400', '', '0x1f', '1 ']) {
    expect(projected({ ...ROW, id })).toBeUndefined()
  }
  expect(projected({ ...ROW, id: '-1.25' })).toMatchObject({ id: -1.25 })
  expect(projected({ ...ROW, is_sold: 'yes' })).toBeUndefined()
  expect(projected({ ...ROW, attributes: '{' })).toBeUndefined()
})

test('a value that is too large is not sent', () => {
  const short = 'x'.repeat(MAX_PROJECTION_BYTES / 2)
  expect(projected({ ...ROW, title: short })).toBeDefined()
  expect(projected({ ...ROW, title: short + short })).toBeUndefined()
})

test('a name that every object has is a name like others', () => {
  for (const name of ['__proto__', 'constructor']) {
    const projection: Projection = Object.fromEntries([[name, { column: 'a', as: 'text' as const }]])
    expect(Object.entries(projected({ a: 'x' }, projection) as object)).toEqual([[name, 'x']])
  }
})

test('a loaded value fits the projection when a row could have given it', () => {
  expect(misfitOf(PROJECTION, { id: 7, name: null, sold: true, more: 1 })).toBeNull()
  expect(misfitOf(PROJECTION, undefined)).toBeNull()
  expect(misfitOf(PROJECTION, { id: '7', name: 'x', sold: true, more: 1 })).toBe(
    '"id" is of type string instead of number',
  )
  expect(misfitOf(PROJECTION, { id: 7, name: 'x', sold: true })).toBe('it lacks "more"')
  expect(misfitOf(PROJECTION, { id: 7, name: 'x', sold: true, more: 1, extra: 1 })).toContain('"extra"')
  expect(misfitOf(PROJECTION, [1])).toBe('it is no object')
})
