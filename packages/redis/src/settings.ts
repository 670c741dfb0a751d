import { readTlsFiles, SettingsMistakes, type TlsPems } from '@tidemark/service'
import { z } from 'zod'
import { parseRedisUrl, type RedisEndpoint } from './endpoint.ts'

/** How to reach one region's Redis. `redisConnection` makes it of the settings. */
export interface RedisConnection {
  readonly endpoint: RedisEndpoint
  /** For an endpoint with TLS. */
  readonly tls?: TlsPems | undefined
  /** What the Sentinels themselves ask for; their account is `default`. */
  readonly sentinelPassword?: string | undefined
}

/** The URL of one server, of the Sentinels that watch it, or of a cluster. */
export function redisUrl() {
  return z
    .string()
    .superRefine((url, context) => {
      parseRedisUrl(url, (message) => context.addIssue({ code: 'custom', message }))
    })
    .meta({ secret: true, format: 'uri' })
}

const path = () => z.string().optional()

/** What goes with the URLs, of however many regions. */
export const redisAccessSettings = {
  TIDEMARK_REDIS_TLS_CA_FILE: path().describe(
    'PEM file of the authority that signed Redis’ certificates; those that Node knows unless given.',
  ),
  TIDEMARK_REDIS_TLS_CERT_FILE: path().describe('PEM file of the client’s certificate, for mutual TLS.'),
  TIDEMARK_REDIS_TLS_KEY_FILE: path().describe('PEM file of its key, not encrypted.'),
  TIDEMARK_REDIS_PASSWORD_FILE: path().describe('The file that holds the password, where the URL does not.'),
  TIDEMARK_REDIS_SENTINEL_PASSWORD: z
    .string()
    .optional()
    .meta({ secret: true })
    .describe('The password of the Sentinels themselves.'),
  TIDEMARK_REDIS_SENTINEL_PASSWORD_FILE: path().describe('The file that holds it instead.'),
}

/** How to reach Redis: to be spread into the settings of whatever does. {@link redisConnection} makes use of them. */
export const redisSettings = {
  TIDEMARK_REDIS_URL: redisUrl().describe(
    'The region’s Redis: redis://, redis-sentinel:// or redis-cluster://; with TLS rediss in place of redis.',
  ),
  ...redisAccessSettings,
}

export type RedisAccessSettings = Partial<z.output<z.ZodObject<typeof redisAccessSettings>>>
export type RedisSettings = RedisAccessSettings & { readonly TIDEMARK_REDIS_URL: string }

/**
 * The connection that the settings speak of, with what their files hold: they are read once, and again when the service
 * starts again. Throws SETTINGS_INVALID with all that is wrong.
 */
export function redisConnection(given: RedisSettings): RedisConnection {
  return redisConnections([given.TIDEMARK_REDIS_URL], given)[0]!
}

/** The connection that a URL alone speaks of. */
export function redisAt(url: string): RedisConnection {
  return redisConnections([url], {})[0]!
}

/** For several regions, whose files are the same. */
export function redisConnections(urls: readonly string[], given: RedisAccessSettings): RedisConnection[] {
  const mistakes = new SettingsMistakes()
  const endpoints = urls.map((url) => parseRedisUrl(url, (what) => mistakes.add(`the URL of Redis ${what}`)))
  const known = endpoints.filter((endpoint) => endpoint !== undefined)
  const tls = tlsOf(known, given, mistakes)
  const password = passwordOf(known, given, mistakes)
  const sentinelPassword = sentinelPasswordOf(known, given, mistakes)
  mistakes.throwIfAny()
  return known.map((endpoint) => ({
    endpoint: password === undefined || endpoint.password !== undefined ? endpoint : { ...endpoint, password },
    ...(endpoint.tls && { tls }),
    ...(endpoint.kind === 'sentinel' && { sentinelPassword }),
  }))
}

const PEM_FILES = {
  ca: 'TIDEMARK_REDIS_TLS_CA_FILE',
  cert: 'TIDEMARK_REDIS_TLS_CERT_FILE',
  key: 'TIDEMARK_REDIS_TLS_KEY_FILE',
} as const

function tlsOf(endpoints: readonly RedisEndpoint[], given: RedisAccessSettings, mistakes: SettingsMistakes) {
  if (endpoints.some(({ tls }) => tls)) return readTlsFiles(PEM_FILES, given, mistakes)
  // Whoever names a certificate believes the connection to be encrypted.
  if (endpoints.length > 0 && Object.values(PEM_FILES).some((name) => given[name])) {
    mistakes.add('TIDEMARK_REDIS_TLS_…_FILE: nothing without a URL that starts with rediss')
  }
  return undefined
}

function passwordOf(endpoints: readonly RedisEndpoint[], given: RedisAccessSettings, mistakes: SettingsMistakes) {
  const name = 'TIDEMARK_REDIS_PASSWORD'
  const file = given.TIDEMARK_REDIS_PASSWORD_FILE
  const lacking = endpoints.filter(({ password }) => password === undefined)
  if (file === undefined) {
    if (lacking.some(({ username }) => username !== undefined)) {
      mistakes.add(`the URL of Redis holds a user without a password, and there is no ${name}_FILE`)
    }
  } else if (endpoints.length > 0 && lacking.length === 0) {
    mistakes.add(`${name}_FILE: the URL of Redis holds a password, too`)
  }
  return mistakes.secret(name, undefined, file)
}

function sentinelPasswordOf(
  endpoints: readonly RedisEndpoint[],
  given: RedisAccessSettings,
  mistakes: SettingsMistakes,
) {
  const name = 'TIDEMARK_REDIS_SENTINEL_PASSWORD'
  const { [name]: own, [`${name}_FILE` as const]: file } = given
  if (endpoints.length > 0 && (own ?? file) !== undefined && !endpoints.some(({ kind }) => kind === 'sentinel')) {
    mistakes.add(`${name}: nothing without a URL that starts with redis-sentinel:// or rediss-sentinel://`)
  }
  return mistakes.secret(name, own, file)
}
