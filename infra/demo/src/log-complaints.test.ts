import { expect, test } from '@jest/globals'
import { complaintsIn } from './log-complaints.ts'

const line = (level: number, more: object) => JSON.stringify({ level, time: '2026-01-02T03:04:05.678Z', ...more })

test('warnings and worse are told in short, with their reason', () => {
  const log = [
    line(30, { msg: 'all is well' }),
    line(40, { msg: 'gap', cause: 'view-missing' }),
    line(50, { msg: 'a request failed', err: { code: 'UNPROVABLE', message: 'long', stack: 'longer' } }),
    line(60, { msg: 'the service crashed', err: { message: 'no route' } }),
  ]
  expect(complaintsIn(log.join('\n'))).toEqual([
    '03:04:05 gap (view-missing)',
    '03:04:05 a request failed (UNPROVABLE)',
    '03:04:05 the service crashed (no route)',
  ])
})

test('what is no log record is shown as it is', () => {
  expect(complaintsIn('SyntaxError: no\n\n{"a":1}\nnull\n')).toEqual(['SyntaxError: no', '{"a":1}', 'null'])
})
