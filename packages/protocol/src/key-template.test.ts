import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isKeyOf, keyFor, MAX_KEY_BYTES, paramsIn, parseTemplate, renderKey, templatesOverlap } from './key-template.ts'

const product = parseTemplate('product:{id}')
const line = parseTemplate('order:{order}:line:{line}')

test('a template is literals and params between colons', () => {
  expect(line).toEqual({
    text: 'order:{order}:line:{line}',
    params: ['order', 'line'],
    segments: [{ literal: 'order' }, { param: 'order' }, { literal: 'line' }, { param: 'line' }],
  })
})

test.each([
  ['', 'segment "" is neither a literal nor one {param}'],
  ['product:', 'segment "" is neither'],
  ['product::{id}', 'segment "" is neither'],
  ['product:{id', 'segment "{id" is neither'],
  ['product:{}', 'segment "{}" is neither'],
  ['product:{1id}', 'segment "{1id}" is neither'],
  ['product:p{id}', 'segment "p{id}" is neither'],
  ['product:{a}{b}', 'segment "{a}{b}" is neither'],
  ['pro duct:{id}', 'segment "pro duct" is neither'],
  ['product:50%', 'segment "50%" is neither'],
  ['{id}:product', 'the first segment must be a literal'],
  ['product:{id}:{id}', 'a param occurs twice'],
])('%j is no template: %s', (text, message) => {
  expect(() => parseTemplate(text)).toThrow(RangeError)
  expect(() => parseTemplate(text)).toThrow(message)
})

test('values stand as Postgres prints them; what would blur two keys is encoded', () => {
  expect(renderKey(product, () => '42')).toBe('product:42')
  expect(renderKey(product, () => 'Müller & Söhne')).toBe('product:Müller%20&%20Söhne')
  expect(renderKey(product, () => 'a:b{c}%\u0000\u007f')).toBe('product:a%3Ab%7Bc%7D%25%00%7F')
  expect(renderKey(product, () => '')).toBe('product:')
})

const values = fc.string({ unit: 'binary', maxLength: 60 })

test('the values can be read back from a key: distinct values never give the same one', () => {
  fc.assert(
    fc.property(values, values, (order, no) => {
      const key = renderKey(line, (param) => (param === 'order' ? order : no))
      expect(key?.split(':').map(decodeURIComponent)).toEqual(['order', order, 'line', no])
    }),
    { numRuns: 2_000 },
  )
})

/** All strings of up to `length` characters of an alphabet. */
function allStrings(alphabet: string, length: number): string[] {
  if (length === 0) return ['']
  const shorter = allStrings(alphabet, length - 1)
  return [...new Set([...shorter, ...shorter.flatMap((text) => [...alphabet].map((c) => text + c))])]
}

test('of all pairs of short values of awkward characters, no two give the same key', () => {
  const pair = parseTemplate('p:{a}:{b}')
  const texts = allStrings(':%3A{ ', 3)
  const keys = new Set(texts.flatMap((a) => texts.map((b) => renderKey(pair, (param) => (param === 'a' ? a : b)))))
  expect(keys.size).toBe(texts.length ** 2)
})

test('a null gives no key', () => {
  expect(renderKey(line, (param) => (param === 'line' ? null : '1'))).toBeUndefined()
})

test('a key of more bytes than the limit is none, and an app is refused it', () => {
  const room = MAX_KEY_BYTES - 'product:'.length
  expect(renderKey(product, () => 'x'.repeat(room))).toHaveLength(MAX_KEY_BYTES)
  expect(renderKey(product, () => 'x'.repeat(room + 1))).toBeUndefined()
  expect(renderKey(product, () => 'é'.repeat(room / 2 + 1))).toBeUndefined()
  expect(() => keyFor(product, { id: 'x'.repeat(room + 1) })).toThrow(/^KEY_PARAMS_INVALID: .*longer than 1024 bytes/)
})

test.each([
  ['42', '42'],
  [42, '42'],
  [-0, '0'],
  [Number.MAX_SAFE_INTEGER, '9007199254740991'],
  [2n ** 63n - 1n, '9223372036854775807'],
  [true, 't'],
  [false, 'f'],
])('an app’s %p prints as Postgres prints the column: %s', (id, text) => {
  expect(keyFor(product, { id })).toBe(renderKey(product, () => text))
})

test.each([
  ['missing', {}],
  ['1.5', { id: 1.5 }],
  ['NaN', { id: Number.NaN }],
  ['9007199254740992', { id: 2 ** 53 }],
  ['of type object', { id: null }],
  ['of type object', { id: new Date(0) }],
  ['not well-formed Unicode', { id: 'a\ud800' }],
])('a param that is %s is refused, its value not shown', (what, params) => {
  const ask = () => keyFor(product, params as unknown as { id: string })
  expect(ask).toThrow(`KEY_PARAMS_INVALID: product:{id}: {id} is ${what}. Give a string as Postgres prints the column`)
})

test('a param that only the prototype has is not given', () => {
  expect(() => keyFor(parseTemplate('p:{constructor}'), {})).toThrow(/^KEY_PARAMS_INVALID/)
})

test('whether templates overlap agrees with trying all keys', () => {
  const alphabet = ['a', 'b', 'c']
  const segments = ['a', 'b', '{x}']
  const tails = ['', ...segments.map((s) => `:${s}`), ...segments.flatMap((s) => segments.map((t) => `:${s}:${t}`))]
  const templates = ['a', 'b']
    .flatMap((first) => tails.map((tail) => `${first}${tail}`))
    .map((text) => parseTemplate(text.replace('{x}', '{y}')))
  const keysOf = templates.map((template) => {
    const pairs = alphabet.flatMap((x) => alphabet.map((y) => ({ x, y })))
    return new Set(pairs.map((pair) => renderKey(template, (param) => pair[param as 'x' | 'y'])))
  })
  for (const [i, a] of templates.entries()) {
    const found = templates.filter((b) => templatesOverlap(a, b)).map(({ text }) => text)
    const shared = templates
      .filter((_, j) => [...keysOf[i]!].some((key) => keysOf[j]!.has(key)))
      .map(({ text }) => text)
    expect([a.text, found]).toEqual([a.text, shared])
  }
})

test('a key that a template gives is one of it, and one that it would spell otherwise is not', () => {
  fc.assert(
    fc.property(values, values, (order, no) => {
      const key = renderKey(line, (param) => (param === 'order' ? order : no))!
      expect(isKeyOf(line, key)).toBe(true)
      expect(isKeyOf(product, key)).toBe(false)
      expect(paramsIn(line, key)).toEqual({ order, line: no })
    }),
  )
  expect(isKeyOf(product, 'product:a%3Ab')).toBe(true)
  for (const other of ['product:a:b', 'product:a%3ab', 'product:%41', 'product:a b', 'product:%', 'Product:a']) {
    expect(isKeyOf(product, other)).toBe(false)
  }
})
