import { expect, test } from '@jest/globals'
import { ReplyError } from 'ioredis'
import { isRedisError, kindOf, type RedisErrorKind, redisError, wantsReconnection } from './redis-error.ts'

const reply = (message: string) => new ReplyError(message)
const in62 = (message: string) =>
  reply(`ERR Error running script (call to f_bd6f3018b28b): @user_script:78: @user_script: 78: ${message}`)

/** As 6.2.11 and 8.2.3 were heard to say it. */
test.each<[string, Error, RedisErrorKind]>([
  ['OOM', reply("OOM command not allowed when used memory > 'maxmemory'."), 'full'],
  ['OOM in a script', in62("-OOM command not allowed when used memory > 'maxmemory'."), 'full'],
  ['OOM in a script, newer', reply('OOM command not allowed … script: bd6f3018b28b, on @user_script:1.'), 'full'],
  ['READONLY in a script', in62("-READONLY You can't write against a read only replica."), 'not-master'],
  ['MASTERDOWN', reply('MASTERDOWN Link with MASTER is down'), 'not-master'],
  ['an ACL in a script', in62("The user executing the script can't run this command or subcommand"), 'refused'],
  ['an ACL in a script, newer', reply('ERR ACL failure in script: User bob has no permissions to run'), 'refused'],
  ['what a script itself says', in62('-UNKNOWN'), 'unknown'],
  ['any other reply', reply('WRONGTYPE Operation against a key holding the wrong kind of value'), 'unknown'],
  ['MASTERDOWNS', reply('MASTERDOWNS is no code of Redis'), 'unknown'],
  [
    'a cluster that redirects for too long',
    new Error('Too many Cluster redirections. Last error: ReplyError: TRYAGAIN Multiple keys request'),
    'slot-moving',
  ],
  [
    'a cluster without a node',
    new Error('Too many Cluster redirections. Last error: Error: Connection is closed.'),
    'disconnected',
  ],
  [
    'a Sentinel that refuses',
    new Error('All sentinels are unreachable. Retrying from scratch after 50ms. Last error: NOAUTH Authentication'),
    'refused',
  ],
  ['a time-out', new Error('Command timed out'), 'timeout'],
  ['no connection', new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'disconnected'],
  ['an unknown authority', Object.assign(new Error('…'), { code: 'SELF_SIGNED_CERT_IN_CHAIN' }), 'untrusted'],
])('%s is told apart', (_, error, kind) => {
  expect(kindOf(error)).toBe(kind)
})

test('why there is no connection is told, rather than that there is none', () => {
  const circumstances = { trouble: reply('WRONGPASS invalid username-password pair'), isCluster: false }
  const none = new Error('Connection is closed.')
  expect(redisError(none, circumstances)).toMatchObject({ kind: 'refused', code: 'SERVER_REFUSED', retriable: false })
  const full = redisError(reply('OOM'), circumstances)
  expect(isRedisError(full, 'full')).toBe(true)
})

test('nothing that was sent is kept with an error, and no URL’s password', () => {
  const error = Object.assign(reply('WRONGPASS redis://u:hunter2@h'), { command: { name: 'hello', args: ['hunter2'] } })
  const told = redisError(error, { isCluster: false })
  expect(told.message).not.toContain('hunter2')
  expect(told.cause).not.toHaveProperty('command')
})

test('only a server that is no master is worth another connection', () => {
  expect(wantsReconnection(in62("-READONLY You can't write against a read only replica."))).toBe(true)
  expect(wantsReconnection(reply('OOM command not allowed'))).toBe(false)
})
