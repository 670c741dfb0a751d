/**
 * The TLS of a connection URL means what it means to libpq, and so to `psql`. The driver knows no fallback to plain text
 * and leaves out, without a word, parameters that it does not know: what would be weaker than it says is a mistake here.
 */
export function tlsMistakes(url: string): string[] {
  const given = parametersOf(url)
  const mode = given.get('sslmode')
  return [
    ...(mode !== null && !MODES.includes(mode) ? [`sslmode=${mode}: say one of ${MODES.join(', ')}`] : []),
    ...(mode === 'verify-ca' && !given.has('sslrootcert') ? ['sslmode=verify-ca: needs sslrootcert'] : []),
    ...(given.has('sslcert') !== given.has('sslkey') ? ['sslcert and sslkey: give both or none'] : []),
    ...(given.get('sslrootcert') === 'system' ? ['sslrootcert=system: leave it out, for those that Node knows'] : []),
    ...NOT_KEPT.filter((name) => given.has(name)).map((name) => `${name}: not supported, say sslmode alone`),
  ]
}

/** `allow` and `prefer` are missing: they promise nothing, and the driver would refuse where libpq gives in. */
const MODES: readonly string[] = ['disable', 'require', 'verify-ca', 'verify-full']

/** What would be left out by the driver although it promises protection, and the driver's own words for TLS. */
const NOT_KEPT = [
  ...['channel_binding', 'gssencmode', 'require_auth', 'requirepeer', 'sslcertmode', 'sslcrl', 'sslcrldir'],
  ...['sslpassword', 'ssl_max_protocol_version', 'ssl_min_protocol_version', 'requiressl', 'ssl', 'uselibpqcompat'],
]

/** The URL for the driver: of itself it takes every mode for `verify-full`, and will not any more in its next version. */
export function asLibpqMeansIt(url: string): string {
  return parametersOf(url).has('sslmode') ? `${url}&uselibpqcompat=true` : url
}

function parametersOf(url: string): URLSearchParams {
  return new URLSearchParams(url.split('?')[1])
}
