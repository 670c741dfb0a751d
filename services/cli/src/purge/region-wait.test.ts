import { expect, test } from '@jest/globals'
import { after, position, version } from '@tidemark/protocol'
import { VIEW } from '../testing/facts.ts'
import { lackText } from './region-wait.ts'

const NOW_MS = VIEW.beat + 1_000

test('a view has applied an invalidation once its watermark has reached the position, not before, and not in a gap', () => {
  const at = after(version(1, 99n))
  const watermarked = (lsn: bigint, epoch = 1) => ({ ...VIEW, watermark: position(epoch, lsn) })
  expect(lackText(0, watermarked(100n), at, NOW_MS)).toBeUndefined()
  // A new epoch is the floor of all that was before.
  expect(lackText(0, watermarked(1n, 2), at, NOW_MS)).toBeUndefined()
  expect(lackText(3, watermarked(99n), at, NOW_MS)).toBe('partition 3 stands at 1/0/63, its last beat 1.0 s ago')
  expect(lackText(0, { ...watermarked(100n), gap: 'offset-gone' }, at, NOW_MS)).toMatch(/in a gap \(offset-gone\)$/)
  expect(lackText(0, null, at, NOW_MS)).toMatch(/has no view/)
})
