import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Certificate, CertificateAuthority, localServers, PostgresServer, RunFolder } from '@tidemark/local'
import { connect, disconnect } from '@tidemark/postgres'
import { isTidemarkError, type SourceConfig } from '@tidemark/protocol'
import { PublisherContext } from './testing/publisher-context.ts'

const PASSWORD = 'hunter2'
const PRODUCTS: SourceConfig['keyspaces'] = {
  products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } },
}
/** The test itself comes in without TLS; the publisher only with it. */
const HBA = `
host    all tidemark  127.0.0.1/32 trust
hostssl all publisher 127.0.0.1/32 scram-sha-256
hostssl all certified 127.0.0.1/32 cert
`

let folder: RunFolder
let server: PostgresServer
let caFile: string
let foreignCaFile: string
let client: Certificate

beforeAll(async () => {
  folder = await RunFolder.create()
  const authority = await CertificateAuthority.create(folder.at('authority'))
  caFile = authority.certFile
  foreignCaFile = (await CertificateAuthority.create(folder.at('foreign'))).certFile
  client = await authority.client('certified')
  server = await PostgresServer.start({
    durable: false,
    settings: { ssl: true, ssl_ca_file: 'ca.crt' },
    files: {
      'pg_hba.conf': HBA,
      'ca.crt': await readFile(caFile, 'utf8'),
      ...(await pemsOf('server', await authority.server('server', { addresses: ['127.0.0.1'] }))),
      ...(await pemsOf('expired', await authority.server('expired', { expired: true }))),
    },
  })
  await server.query(`create role publisher login replication password '${PASSWORD}'`)
  await server.query('create role certified login')
}, 120_000)

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

async function pemsOf(name: string, { certFile, keyFile }: Certificate): Promise<Record<string, string>> {
  return { [`${name}.crt`]: await readFile(certFile, 'utf8'), [`${name}.key`]: await readFile(keyFile, 'utf8') }
}

interface Way {
  readonly user?: string
  readonly host?: string
  readonly database?: string
}

function urlWith(
  parameters: string,
  { user = `publisher:${PASSWORD}`, host = '127.0.0.1', database }: Way = {},
): string {
  return `postgres://${user}@${host}:${server.port}/${database ?? 'postgres'}?${parameters}`
}

/** Whether the server says that this connection is encrypted, or what it was refused with. */
async function attempt(url: string): Promise<boolean | string> {
  try {
    const connection = await connect(url, 'test', () => undefined)
    const { rows } = await connection.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
    await disconnect(connection)
    return rows[0].ssl
  } catch (error) {
    if (!isTidemarkError(error)) throw error
    return error.message
  }
}

test('the publisher streams over TLS, its replication connection included', async () => {
  await using ctx = await PublisherContext.open({ serverUrl: server.url() })
  await ctx.sql.query(`
    create table product (id int primary key, name text);
    alter table product owner to publisher;
    grant create on database ${ctx.name} to publisher`)
  const source = ctx.source(PRODUCTS)
  ctx.start(source, { postgresUrl: urlWith(`sslmode=verify-full&sslrootcert=${caFile}`, { database: ctx.name }) })
  await ctx.follow(source)
  await ctx.until('the epoch is announced', (records) => records.some((r) => r.kind === 'epoch'))
  await ctx.sql.query("insert into product values (1, 'x')")
  await ctx.until('the event is published', () => ctx.keys().includes('product:1'))
  const { rows } = await ctx.sql.query(`
    select bool_and(s.ssl) as encrypted, count(r.pid)::int as streams, count(*)::int > 1 as others
    from pg_stat_activity a join pg_stat_ssl s using (pid) left join pg_stat_replication r using (pid)
    where a.usename = 'publisher'`)
  expect(rows).toEqual([{ encrypted: true, streams: 1, others: true }])
})

test('each sslmode means what it means to libpq', async () => {
  const named = { host: 'localhost' }
  expect(await attempt(urlWith('sslmode=require'))).toBe(true)
  expect(await attempt(urlWith(`sslmode=require&sslrootcert=${foreignCaFile}`))).toContain('authority that signed')
  expect(await attempt(urlWith(`sslmode=verify-ca&sslrootcert=${caFile}`, named))).toBe(true)
  expect(await attempt(urlWith(`sslmode=verify-ca&sslrootcert=${foreignCaFile}`))).toContain('authority that signed')
  expect(await attempt(urlWith(`sslmode=verify-full&sslrootcert=${caFile}`))).toBe(true)
  expect(await attempt(urlWith(`sslmode=verify-full&sslrootcert=${caFile}`, named))).toContain('by a name that')
  expect(await attempt(urlWith('sslmode=verify-full'))).toContain('authority that signed')
})

test('a client certificate is let in without a password', async () => {
  const own = `sslcert=${client.certFile}&sslkey=${client.keyFile}`
  const certified = { user: 'certified' }
  expect(await attempt(urlWith(`sslmode=verify-full&sslrootcert=${caFile}&${own}`, certified))).toBe(true)
  expect(await attempt(urlWith(`sslmode=verify-full&sslrootcert=${caFile}`, certified))).toMatch(/^SERVER_REFUSED/)
})

test.each([
  ['plain text where the server wants TLS', 'sslmode=disable', /^SERVER_REFUSED.*no encryption/],
  ['a file that is missing', 'sslmode=verify-full&sslrootcert=/none.pem', /^SETTINGS_INVALID.*none\.pem/],
])('%s is refused', async (_, parameters, message) => {
  expect(await attempt(urlWith(parameters))).toMatch(message)
})

test('a wrong password is refused, and not told', async () => {
  const refusal = await attempt(urlWith('sslmode=require', { user: 'publisher:hunter3' }))
  expect(refusal).toMatch(/^SERVER_REFUSED/)
  expect(refusal).not.toContain('hunter3')
})

test('TLS where the server has none is refused', async () => {
  const url = new URL(localServers().primaryUrl)
  url.search = 'sslmode=require'
  expect(await attempt(url.href)).toMatch(/^SERVER_REFUSED.*Set ssl = on/)
})

test('an expired certificate is refused', async () => {
  await server.configure({ ssl_cert_file: 'expired.crt', ssl_key_file: 'expired.key' })
  expect(await attempt(urlWith(`sslmode=verify-full&sslrootcert=${caFile}`))).toMatch(/^SERVER_REFUSED.*Renew/)
  await server.configure({ ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' })
})
