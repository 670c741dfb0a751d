import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { CertificateAuthority, freePort, RedisServer, RunFolder, waitUntil } from '@tidemark/local'
import { isRedisError } from './redis-error.ts'
import { RegionRedis } from './region-redis.ts'
import { type RedisConnection, redisAt } from './settings.ts'

const IN_TIME = { timeoutMs: 10_000 }

let resources: AsyncDisposableStack
let port: number
let expiredPort: number
let ca: string
let foreignCa: string
let client: { readonly cert: string; readonly key: string }

beforeAll(async () => {
  resources = new AsyncDisposableStack()
  const folder = resources.use(await RunFolder.create())
  const authority = await CertificateAuthority.create(folder.at('authority'))
  const foreign = await CertificateAuthority.create(folder.at('foreign'))
  const { certFile, keyFile } = await authority.client('client')
  ca = await readFile(authority.certFile, 'utf8')
  foreignCa = await readFile(foreign.certFile, 'utf8')
  client = { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
  const listening = async (name: string, expired: boolean) => {
    const certificate = await authority.server(name, { expired })
    const tlsPort = await freePort()
    const settings = {
      ...{ 'tls-port': tlsPort, 'tls-ca-cert-file': authority.certFile },
      ...{ 'tls-cert-file': certificate.certFile, 'tls-key-file': certificate.keyFile },
    }
    resources.use(await RedisServer.start({ name, settings }))
    return tlsPort
  }
  port = await listening('valid', false)
  expiredPort = await listening('expired', true)
})

afterAll(async () => {
  await resources.disposeAsync()
})

const at = (tlsPort: number, tls: RedisConnection['tls']) => ({ ...redisAt(`rediss://127.0.0.1:${tlsPort}`), tls })

async function ask(connection: RedisConnection): Promise<void> {
  const redis = new RegionRedis(connection, { clientName: 'test', commandTimeoutMs: 1_000, once: true })
  try {
    await redis.ping()
  } finally {
    redis.close()
  }
}

test('a client certificate and the authority that signed the server’s are enough', async () => {
  await ask(at(port, { ca, ...client }))
})

test.each([
  ['an unknown authority', () => at(port, { ca: foreignCa, ...client }), 'the file of the authority that signed'],
  ['an authority that Node does not know', () => at(port, client), 'the file of the authority that signed'],
  ['an expired certificate', () => at(expiredPort, { ca, ...client }), 'Renew the server’s certificate'],
])('%s is refused, with how to mend it', async (_, connection, mend) => {
  const told = { kind: 'untrusted', code: 'SERVER_REFUSED', message: expect.stringContaining(mend) }
  await expect(ask(connection())).rejects.toMatchObject(told)
})

/** In TLS 1.3 the server objects after the client has taken the connection for made, and a lone command may miss why. */
test.each([
  ['an unknown authority', () => at(port, { ca: foreignCa, ...client })],
  ['no client certificate', () => at(port, { ca })],
])(
  'a service that goes on connecting with %s is told so, and not that there is no connection',
  async (_, connection) => {
    const redis = new RegionRedis(connection(), { clientName: 'test', commandTimeoutMs: 1_000 })
    const isTold = () =>
      redis.ping().then(
        () => false,
        (error: unknown) => {
          if (isRedisError(error, 'untrusted')) return true
          throw error
        },
      )
    try {
      await waitUntil('it is told', isTold, IN_TIME)
    } finally {
      redis.close()
    }
  },
)
