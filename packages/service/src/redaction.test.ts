import { expect, test } from '@jest/globals'
import { redactUrls } from './redaction.ts'

test.each([
  ['postgres://app:hunter2@db:5432/shop', 'postgres://app:***@db:5432/shop'],
  ['redis://:hunter2@10.0.0.1', 'redis://:***@10.0.0.1'],
  ['postgres://app:hunter2@x/y@db/shop', 'postgres://app:***@db/shop'],
  ['postgres://db/shop?user=app&password=hunter2&x=1', 'postgres://db/shop?user=app&password=***&x=1'],
  ['postgres://a:hunter2@b and redis://c:hunter2@d', 'postgres://a:***@b and redis://c:***@d'],
])('%s', (text, redacted) => {
  expect(redactUrls(text)).toBe(redacted)
})

test.each(['http://127.0.0.1:9464/metrics', 'kafka:9092', 'postgres://app@db/shop', 'a sentence: with a colon @ home'])(
  'nothing to take out of %s',
  (text) => {
    expect(redactUrls(text)).toBe(text)
  },
)

test('a line of JSON stays one, and its other fields stay', () => {
  const line = JSON.stringify({ url: 'postgres://app:hun"ter\\2@db/shop', mail: 'someone@example.org' })
  expect(JSON.parse(redactUrls(line))).toEqual({ url: 'postgres://app:***@db/shop', mail: 'someone@example.org' })
})
