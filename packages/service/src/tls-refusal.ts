/**
 * What to mend when a TLS handshake failed, by the code that Node gives its error; undefined for every other error, and
 * for what may pass by itself, such as a connection that ended in the middle of a handshake.
 */
export function tlsRefusal(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  if (typeof code !== 'string') return undefined
  return MENDS.find(([pattern]) => pattern.test(code))?.[1]
}

/** The first that fits. Names as in Node's `tls` (X509 certificate error codes) and in OpenSSL's alerts. */
const MENDS: readonly (readonly [RegExp, string])[] = [
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$|^HOSTNAME_MISMATCH$/,
    'Call the server by a name that its certificate holds, or give it a certificate that holds this one',
  ],
  [/^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/, 'Renew the server’s certificate, or set the clocks right'],
  [
    /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|INVALID_CA|INVALID_PURPOSE|SELF_SIGNED_CERT|UNABLE_TO_(GET_ISSUER|VERIFY_LEAF))/,
    'Give the file of the authority that signed the server’s certificate, intermediate ones included',
  ],
  [
    /^ERR_SSL_.*ALERT_.*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)/,
    'The server wants a client certificate of an authority that it trusts, and that has not expired',
  ],
  [
    /^ERR_SSL_.*(HANDSHAKE_FAILURE|PROTOCOL_VERSION|NO_PROTOCOLS)/,
    'The server and Node share no version or cipher of TLS',
  ],
  [/^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST)/, 'The server does not speak TLS on this port'],
]
