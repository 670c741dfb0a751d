import { expect, test } from '@jest/globals'
import { at, RegionContext, record } from './region-context.ts'

test('a first start opens a gap at the end of the log, and the first watermark from there on closes it', async () => {
  await using ctx = await RegionContext.open()
  await ctx.publish(0, record.watermark(100), record.event('product:1', 110), record.watermark(120))
  ctx.start()

  const untrusted = await ctx.untilView('there is a view', () => true)
  expect(untrusted).toMatchObject({ gap: 'view-missing', offset: '0000000000000003', watermark: at(0, 0) })
  expect(await ctx.fill('product:1', 'product', at(500))).toEqual({ code: 'lease-lost' })

  const offset = await ctx.publish(0, record.watermark(130))
  const trusted = await ctx.untilOffset(offset + 1n)
  expect(trusted.gap).toBeUndefined()
  expect(trusted).toMatchObject({ watermark: at(130), horizon: at(130), floors: { '*': at(130) } })
})
