import { expect, test } from '@jest/globals'
import { tlsRefusal } from './tls-refusal.ts'

const coded = (code: string) => Object.assign(new Error('handshake'), { code })

test.each([
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'by a name that its certificate holds'],
  ['CERT_HAS_EXPIRED', 'Renew the server’s certificate'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'authority that signed'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'authority that signed'],
  ['ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN', 'client certificate'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'client certificate'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'client certificate'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'no version or cipher'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'does not speak TLS'],
])('%s is a refusal, and says what to mend', (code, mend) => {
  expect(tlsRefusal(coded(code))).toContain(mend)
})

test.each([
  'ECONNRESET',
  'EPIPE',
  'ERR_SSL_UNEXPECTED_EOF_WHILE_READING',
  'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR',
  '28000',
])('%s may pass by itself', (code) => {
  expect(tlsRefusal(coded(code))).toBeUndefined()
})

test('what has no code is none', () => {
  expect([new Error('x'), undefined, 'x', { code: 5 }].map(tlsRefusal)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ])
})
