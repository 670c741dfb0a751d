import { describe, expect, test } from '@jest/globals'
import { ORIGIN, type Version } from '@tidemark/protocol'
import fc from 'fast-check'
import { decodeFeedMessage, type FeedMessage } from './feed-message.ts'
import { PartitionFeed } from './partition-feed.ts'
import { encodeOffset, type View } from './view.ts'

const message = (from: bigint, next: bigint, change: Partial<FeedMessage> = {}): FeedMessage => ({
  from,
  next,
  epoch: '00000001',
  watermark: ORIGIN,
  newest: ORIGIN as string as Version,
  beat: 1,
  keys: [],
  many: false,
  ...change,
})

function feedAt(next: bigint): PartitionFeed {
  const feed = new PartitionFeed()
  feed.accept(message(0n, next))
  return feed
}

const view = (offset: bigint, change: Partial<View> = {}): View => ({
  epoch: '00000001',
  watermark: ORIGIN,
  newest: ORIGIN as string as Version,
  horizon: ORIGIN,
  floors: {},
  offset: encodeOffset(offset),
  beat: 1,
  current: 0,
  generations: {},
  ...change,
})

describe('after what was told up to 5, a message', () => {
  test.each([
    ['from there goes on', message(5n, 9n), null],
    ['from there to there, a repair, goes on', message(5n, 5n), null],
    ['from beyond is a hole', message(6n, 9n), 'hole'],
    ['from below is told again', message(4n, 9n), 'again'],
    ['of a gap is a loss wherever it begins', message(5n, 5n, { gap: 'offset gone' }), 'gap'],
    ['of another epoch is a loss', message(5n, 9n, { epoch: '00000002' }), 'epoch'],
    ['that names no keys for there are too many is a loss', message(5n, 9n, { many: true }), 'many'],
  ])('%s', (_, next, loss) => {
    expect(feedAt(5n).accept(next)).toBe(loss)
  })

  test('goes on from wherever the last one ended, loss or not', () => {
    const feed = feedAt(5n)
    feed.accept(message(7n, 9n))
    expect(feed.accept(message(9n, 10n))).toBeNull()
  })

  test('is the first one again once all is lost', () => {
    const feed = feedAt(5n)
    feed.lose()
    expect(feed.next).toBeNull()
    expect(feed.accept(message(5n, 9n))).toBe('first')
  })
})

describe('what was read may be kept', () => {
  test.each([
    ['with a view that stands where the feed stands', view(5n), true],
    ['with a view that is ahead of it', view(8n), true],
    ['not with a view that is behind it', view(4n), false],
    ['not with a view of an older epoch', view(5n, { epoch: '00000000' }), false],
    ['not in a gap', view(5n, { gap: 'offset gone' }), false],
    ['not without a view', null, false],
  ])('%s', (_, seen, expected) => {
    expect(feedAt(5n).mayKeep(seen)).toBe(expected)
  })

  test('not before the first message, nor after a loss', () => {
    const feed = new PartitionFeed()
    expect(feed.mayKeep(view(5n))).toBe(false)
    feed.accept(message(0n, 5n))
    feed.lose()
    expect(feed.mayKeep(view(5n))).toBe(false)
  })

  test('not while the feed tells of a gap', () => {
    const feed = feedAt(5n)
    feed.accept(message(5n, 5n, { gap: 'offset gone' }))
    expect(feed.mayKeep(view(5n))).toBe(false)
    feed.accept(message(5n, 6n))
    expect(feed.mayKeep(view(6n))).toBe(true)
  })
})

test('whatever of its messages a subscriber gets, it goes on only where none is missing', () => {
  const log = Array.from({ length: 20 }, (_, i) => message(BigInt(i), BigInt(i + 1)))
  fc.assert(
    fc.property(fc.subarray(log, { minLength: 1 }), (heard) => {
      const feed = new PartitionFeed()
      for (const [i, next] of heard.entries()) {
        const goesOn = heard[i - 1]?.next === next.from
        expect(feed.accept(next) === null).toBe(goesOn)
      }
    }),
  )
})

describe('a message', () => {
  const written = {
    from: encodeOffset(1n),
    next: encodeOffset(2n),
    epoch: '00000001',
    watermark: ORIGIN,
    newest: ORIGIN,
    beat: 1,
  }

  test('is read as it was written', () => {
    const full = { ...written, keys: ['k'], floors: { '*': ORIGIN }, gap: 'offset gone' }
    expect(decodeFeedMessage(JSON.stringify(full))).toEqual({ ...full, from: 1n, next: 2n, many: false })
    expect(decodeFeedMessage(JSON.stringify(written))).toEqual(message(1n, 2n))
  })

  test.each(Object.keys(written))('without its %s is refused', (field) => {
    const partial = Object.fromEntries(Object.entries(written).filter(([name]) => name !== field))
    expect(() => decodeFeedMessage(JSON.stringify(partial))).toThrow(
      expect.objectContaining({ code: 'CELL_MALFORMED' }),
    )
  })

  test.each([
    ['no JSON', '{'],
    ['null', 'null'],
    ['with keys that are none', JSON.stringify({ ...written, keys: [1] })],
    ['with a floor that is none', JSON.stringify({ ...written, floors: { '*': 'x' } })],
    ['with an offset of another length', JSON.stringify({ ...written, next: '2' })],
  ])('%s is refused', (_, text) => {
    expect(() => decodeFeedMessage(text)).toThrow(expect.objectContaining({ code: 'CELL_MALFORMED' }))
  })
})
