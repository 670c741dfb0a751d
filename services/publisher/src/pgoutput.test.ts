import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Message, parseMessage, type Row, UNCHANGED } from './pgoutput.ts'
import {
  BEGIN_TIME_US,
  begin,
  commit,
  emitted,
  insert,
  relation,
  remove,
  truncate,
  update,
} from './testing/pgoutput-bytes.ts'

const ALL = [
  begin(0x16_0000_00ffn, 4_000_000_000),
  commit(0x16_0000_00ffn, 0x16_0000_0130n),
  relation(4_000_000_001, 'public.product', [{ name: 'id', identity: true }, { name: 'name' }]),
  insert(7, ['1', null]),
  update(7, ['1', 'u!'], { image: 'K', columns: ['2', null] }),
  remove(7, 'O', ['1', 'x']),
  truncate(7, 4_000_000_001),
  emitted('tidemark.shop', '{}'),
]

function texts(row: Row) {
  return Array.from({ length: row.columns }, (_, i) => row.text(i))
}

test('Begin gives the commit LSN, the time since 1970, and an xid beyond 2^31 unsigned', () => {
  expect(parseMessage(begin(0x16_b374_d848n, 4_000_000_000))).toEqual({
    kind: 'begin',
    commitLsn: 0x16_b374_d848n,
    timeUs: BEGIN_TIME_US,
    xid: 4_000_000_000,
  })
})

test('Commit gives start and end of the commit record, the highest LSN included', () => {
  expect(parseMessage(commit(1n, 0xffff_ffff_ffff_ffffn))).toEqual({
    kind: 'commit',
    commitLsn: 1n,
    endLsn: 0xffff_ffff_ffff_ffffn,
  })
})

test('a Relation gives its oid unsigned, its columns, and which of them the replica identity carries', () => {
  const message = parseMessage(ALL[2]!)
  expect(message).toMatchObject({ kind: 'relation', oid: 4_000_000_001, schema: 'public', table: 'product' })
  expect(message).toMatchObject({
    columns: [
      { name: 'id', identity: true, typeOid: 23, typeModifier: -1 },
      { name: 'name', identity: false },
    ],
  })
})

test('null, an unchanged TOASTed value, an empty text and a column that is not there are four different things', () => {
  const message = parseMessage(insert(7, [null, 'u!', '', 'é']))
  if (message.kind !== 'insert') throw new Error(message.kind)
  expect(texts(message.next)).toEqual([null, UNCHANGED, '', 'é'])
  expect(message.next.text(4)).toBeUndefined()
})

test('an update carries the old image when there is one, and none otherwise', () => {
  const keyed = parseMessage(ALL[4]!)
  if (keyed.kind !== 'update' || !keyed.old) throw new Error(keyed.kind)
  expect(texts(keyed.old)).toEqual(['2', null])
  expect(texts(keyed.next)).toEqual(['1', UNCHANGED])
  expect(parseMessage(update(7, ['1']))).toMatchObject({ kind: 'update', old: undefined })
})

test('a TRUNCATE names every relation that it empties', () => {
  expect(parseMessage(truncate(7, 4_000_000_001))).toEqual({ kind: 'truncate', relations: [7, 4_000_000_001] })
})

test('a message that this protocol version does not have is unknown; STREAM ABORT of Postgres 18 is one', () => {
  expect(parseMessage(Buffer.from([0x41, 1, 2, 3]))).toEqual({ kind: 'unknown', tag: 0x41 })
})

test('a message that an app emitted comes with its prefix and its content', () => {
  const content = '{"keys":["a"]}'
  for (const transactional of [true, false]) {
    const message = parseMessage(emitted('tidemark.shop', content, transactional))
    expect(message).toEqual({ kind: 'message', transactional, prefix: 'tidemark.shop', content: Buffer.from(content) })
  }
})

test('origins and types are known, and of no interest', () => {
  for (const tag of 'OY') expect(parseMessage(Buffer.from(`${tag}whatever`))).toEqual({ kind: 'ignored' })
})

test('a message that ends too early is malformed at every length, never an exception', () => {
  for (const bytes of ALL) {
    for (let length = 1; length < bytes.length; length++) {
      expect(parseMessage(bytes.subarray(0, length))).toMatchObject({ kind: 'malformed', tag: bytes[0] })
    }
  }
})

test('a known message with bytes left over is malformed: they could be changes that we would lose', () => {
  for (const bytes of ALL) {
    expect(parseMessage(Buffer.concat([bytes, Buffer.from('x')]))).toMatchObject({ kind: 'malformed' })
  }
})

test('no bytes whatsoever make the parser throw', () => {
  const tag = fc.constantFrom(...'BCORYIUDTMSA')
  fc.assert(
    fc.property(tag, fc.uint8Array({ maxLength: 64 }), (t, rest) => {
      const message: Message = parseMessage(Buffer.concat([Buffer.from(t), rest]))
      expect(message.kind).toBeDefined()
    }),
  )
  expect(parseMessage(Buffer.alloc(0))).toMatchObject({ kind: 'malformed' })
})

test('a garbled length does not reach beyond the message, nor back', () => {
  const bytes = insert(7, ['ab'])
  for (const length of [3, 0x7fff_ffff, -1]) {
    bytes.writeInt32BE(length, 9)
    expect(parseMessage(bytes)).toMatchObject({ kind: 'malformed' })
  }
})
