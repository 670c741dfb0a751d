import { describe, expect, test } from '@jest/globals'
import { parseLsn, position } from '@tidemark/protocol'
import { forSession, type StandingRow, standingOf, standingStatement } from './standing.ts'

const PRIMARY: StandingRow = {
  recovering: false,
  insert_lsn: '16/B374D848',
  replay_lsn: null,
  receive_lsn: null,
  segment_bytes: String(16 * 1024 * 1024),
  timeline: 2,
  epoch: 3,
  epoch_timeline: 2,
  system_identifier: '7512345678901234567',
  version: 180_000,
  server: 'one',
}
const REPLICA: StandingRow = {
  ...PRIMARY,
  recovering: true,
  insert_lsn: null,
  replay_lsn: '16/B374D848',
  receive_lsn: '16/B3750000',
}

const at = (lsn: string) => position(3, parseLsn(lsn))

describe('a standing', () => {
  test('of a primary is where its log ends', () => {
    expect(standingOf(PRIMARY)).toEqual({
      role: 'primary',
      epoch: 3,
      systemIdentifier: '7512345678901234567',
      version: 180_000,
      server: 'one',
      announced: true,
      position: at('16/B374D848'),
      reach: at('16/B374D848'),
    })
  })

  test('of a replica begins at what was replayed and reaches to what was received', () => {
    expect(standingOf(REPLICA)).toMatchObject({
      role: 'replica',
      position: at('16/B374D848'),
      reach: at('16/B3750000'),
    })
  })

  test('of a replica that has replayed from an archive beyond what it received reaches to what was replayed', () => {
    expect(standingOf({ ...REPLICA, receive_lsn: '16/A0000000' })).toMatchObject({ reach: at('16/B374D848') })
  })

  test('of a replica that has received nothing has no reach: nobody can say what its rows may hold', () => {
    expect(standingOf({ ...REPLICA, receive_lsn: null })).toMatchObject({ role: 'replica', reach: null })
  })

  test('is stamped with the epoch in the server’s own table, not with one that is known elsewhere', () => {
    expect(standingOf({ ...REPLICA, epoch: 2 })).toMatchObject({
      epoch: 2,
      position: position(2, parseLsn('16/B374D848')),
    })
  })

  test('of a server whose timeline is not its newest epoch’s is unannounced', () => {
    expect(standingOf({ ...PRIMARY, timeline: 3 })?.announced).toBe(false)
    expect(standingOf({ ...REPLICA, timeline: 1 })?.announced).toBe(false)
    expect(standingOf({ ...REPLICA, timeline: null })?.announced).toBe(false)
  })

  test.each([
    ['no epoch was recorded', { epoch: null, epoch_timeline: null, system_identifier: null }],
    ['the epoch names no system', { system_identifier: null }],
    ['a replica has replayed nothing', { recovering: true, insert_lsn: null }],
  ])('is unknown when %s', (_, fields) => {
    expect(standingOf({ ...PRIMARY, ...fields })).toBeNull()
  })
})

describe('a position inside a WAL page header is rounded down to the page’s start, which is the same cut', () => {
  test.each([
    ['the first page of a segment, 40 bytes', '16/B3000028', '16/B3000000'],
    ['past it', '16/B3000029', '16/B3000029'],
    ['another page, 24 bytes', '16/B3002018', '16/B3002000'],
    ['past that', '16/B3002019', '16/B3002019'],
    ['the start itself', '16/B3002000', '16/B3002000'],
  ])('%s', (_, lsn, rounded) => {
    expect(standingOf({ ...PRIMARY, insert_lsn: lsn })).toMatchObject({ position: at(rounded), reach: at(rounded) })
    expect(standingOf({ ...REPLICA, replay_lsn: lsn })?.position).toBe(at(rounded))
  })

  test('the server says how large its segments are', () => {
    const oneMegabyte = { ...PRIMARY, segment_bytes: String(1024 * 1024), insert_lsn: '16/B3100028' }
    expect(standingOf(oneMegabyte)?.position).toBe(at('16/B3100000'))
    expect(standingOf({ ...oneMegabyte, segment_bytes: PRIMARY.segment_bytes })?.position).toBe(at('16/B3100028'))
  })
})

test('a session that was on a server not announced yet waits for the next epoch', () => {
  const read = position(3, 0x5000n)
  expect(forSession(standingOf(PRIMARY)!, read)).toBe(read)
  expect(forSession(standingOf({ ...PRIMARY, timeline: 3 })!, read)).toBe(position(4, 0x5000n))
})

test('the statement asks for the epochs of its own source only', () => {
  expect(standingStatement('shop-eu_1')).toContain(
    "where source = 'shop-eu_1' and start_lsn is not null order by epoch",
  )
})
