import { expect, test } from '@jest/globals'
import { TidemarkError } from '@tidemark/protocol'
import { serviceLog } from './service-log.ts'

function logged(fields: object): Record<string, unknown> & { err?: Record<string, unknown> } {
  const lines: string[] = []
  serviceLog('example', 'info', { write: (line) => lines.push(line) }).error(fields, 'a sentence')
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0]!)
}

test('a line is JSON with name, time and sentence', () => {
  expect(logged({ partition: 3 })).toMatchObject({ name: 'example', partition: 3, msg: 'a sentence' })
})

test('what drivers hang on their errors is not logged: a command’s arguments, a row', () => {
  const redis = Object.assign(new Error('READONLY'), { command: { name: 'set', args: ['tm:{1}:k', 'hunter2'] } })
  const postgres = Object.assign(new Error('duplicate key'), { code: '23505', detail: 'Key (mail)=(hunter2)' })
  expect(JSON.stringify(logged({ err: redis }))).not.toContain('hunter2')
  expect(JSON.stringify(logged({ err: postgres }))).not.toContain('hunter2')
  expect(logged({ err: postgres }).err).toMatchObject({ code: '23505', message: 'duplicate key' })
})

test('a coded error has no stack, but its cause', () => {
  const cause = new AggregateError([new Error('connect ECONNREFUSED ::1:5432')], '')
  const { err } = logged({ err: new TidemarkError('SERVER_UNREACHABLE', 'no Postgres', { cause }) })
  expect(err).toMatchObject({
    code: 'SERVER_UNREACHABLE',
    message: 'SERVER_UNREACHABLE: no Postgres',
    cause: { errors: ['connect ECONNREFUSED ::1:5432'] },
  })
  expect(err).not.toHaveProperty('stack')
})

test('an error without a code keeps its stack', () => {
  expect(logged({ err: new Error('odd') }).err?.stack).toContain('service-log.test')
})

test('a chain of causes that never ends is cut', () => {
  const error = new Error('round and round')
  error.cause = error
  expect(logged({ err: error }).err).toMatchObject({ message: 'round and round' })
})
