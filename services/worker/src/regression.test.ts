import { describe, expect, test } from '@jest/globals'
import type { Sight } from '@tidemark/guard'
import { regression } from './regression.ts'
import { GuardModel } from './testing/guard-model.ts'
import { at, record } from './testing/record-words.ts'

const applied = { next: 8n, key: 'product:1', version: record.event('', 50).version }

async function sight(change: Partial<NonNullable<Sight['view']>> = {}, low?: number): Promise<Sight> {
  const view = { ...(await GuardModel.at(8n).view())!, watermark: at(40), floors: { '*': at(30) }, ...change }
  if (low === undefined) return { view, cell: null }
  const label = { low: at(low), high: at(low) }
  return { view, cell: { state: 'live', label, loadedAt: null, payload: Buffer.alloc(0) } }
}

describe('at the very offset that this worker left', () => {
  test('I2: a live value that does not cover the event is told', async () => {
    expect(regression(null, await sight({}, 50), applied)).toContain('does not cover')
  })

  test('a value that covers it is fine', async () => {
    expect(regression(null, await sight({}, 51), applied)).toBeNull()
  })

  test.each([
    ['watermark', { watermark: at(39) }],
    ['horizon', { horizon: at(0, 0) }],
    ['epoch', { epoch: '00000000' }],
    ['floor', { floors: {} }],
  ])('I6: a %s that went back is told', async (field, change) => {
    const before = await sight({ horizon: at(5) })
    expect(regression(before.view, await sight({ horizon: at(5), ...change }), applied)).toContain(field)
  })

  test('a view that only rose is fine', async () => {
    const before = await sight()
    expect(regression(before.view, await sight({ watermark: at(41), beat: 9 }), applied)).toBeNull()
  })
})

describe('what may go back', () => {
  test('a Redis that stands at another offset', async () => {
    const before = await sight()
    const restored = await sight({ offset: '0000000000000007', watermark: at(1) }, 1)
    expect(regression(before.view, restored, applied)).toBeNull()
  })

  test('a partition in a gap, and one without a view', async () => {
    expect(regression(null, await sight({ gap: 'view-missing' }, 1), applied)).toBeNull()
    expect(regression(null, { ...(await sight({}, 1)), view: null }, applied)).toBeNull()
  })
})
