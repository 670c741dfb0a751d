import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { WatermarkTime } from './watermark-time.ts'

test('a watermark carries the newest time whose LSN it has reached, and none before any', () => {
  const time = new WatermarkTime()
  time.observe(100n, 1_000n)
  time.observe(200n, 2_000n)
  expect(time.at(99n)).toBe(0n)
  expect(time.at(100n)).toBe(1_000n)
  expect(time.at(199n)).toBe(1_000n)
  expect(time.at(500n)).toBe(2_000n)
})

test('time goes on at one position while nothing is written', () => {
  const time = new WatermarkTime()
  for (const timeUs of [1n, 2n, 3n]) {
    time.observe(100n, timeUs)
    expect(time.at(100n)).toBe(timeUs)
  }
})

test('a transaction’s own commit time stands in while we catch up', () => {
  const time = new WatermarkTime()
  time.observe(1_000n, 9_000n)
  time.committed(500n)
  expect(time.at(100n)).toBe(500n)
  time.committed(400n)
  expect(time.at(100n)).toBe(500n)
})

test('it never claims a time that its position does not cover, and holds a bounded number of readings', () => {
  const steps = fc.array(fc.tuple(fc.bigInt({ min: 0n, max: 50n }), fc.bigInt({ min: 0n, max: 60n })), {
    maxLength: 200,
  })
  fc.assert(
    fc.property(steps, (moves) => {
      const time = new WatermarkTime(8)
      let lsn = 0n
      let position = 0n
      const readings: { lsn: bigint; timeUs: bigint }[] = []
      for (const [i, [write, follow]] of moves.entries()) {
        lsn += write
        readings.push({ lsn, timeUs: BigInt(i + 1) })
        time.observe(lsn, BigInt(i + 1))
        position += follow
        const claimed = time.at(position)
        const covered = readings.filter((r) => r.lsn <= position).map((r) => r.timeUs)
        expect(claimed === 0n || covered.includes(claimed)).toBe(true)
      }
    }),
  )
})
