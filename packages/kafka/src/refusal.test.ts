import { expect, test } from '@jest/globals'
import { kafkaError } from './client.ts'

const failed = (why: string) =>
  Object.assign(new Error(`SASL SCRAM SHA256 authentication failed: ${why}`), {
    name: 'KafkaJSSASLAuthenticationError',
  })

test('a password that the broker does not take is a refusal', () => {
  const told = kafkaError(failed('Authentication failed during authentication due to invalid credentials'))
  expect(told).toMatchObject({ code: 'SERVER_REFUSED', retriable: false })
})

/** kafkajs calls it a failed authentication, and not retriable. */
test.each([
  'Closed connection',
  'Connection closed by the server',
  'Connection error: read ECONNRESET',
  'Request SaslAuthenticate(key: 36, version: 1) timed out',
  'Not connected',
])('a broker that goes away during a login is none: %s', (why) => {
  expect(kafkaError(failed(why))).toMatchObject({ code: 'SERVER_UNREACHABLE', retriable: true })
})

test('an error whose causes never end is looked at for a while', () => {
  const error = Object.assign(new Error('round'), { name: 'KafkaJSError' })
  error.cause = error
  expect(kafkaError(error)).toMatchObject({ code: 'SERVER_UNREACHABLE' })
})
