import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import {
  type Certificate,
  CertificateAuthority,
  KAFKA_AUTHORIZER,
  KafkaServer,
  RunFolder,
  waitUntil,
} from '@tidemark/local'
import { isTidemarkError } from '@tidemark/protocol'
import { type Logger, serviceLog } from '@tidemark/service'
import kafkajs from 'kafkajs'
import { type KafkaConnection, type KafkaSasl, type KafkaTls, kafkaClient, kafkaError } from './client.ts'
import { ensureTopic } from './topic.ts'
import { readTopic } from './topic-facts.ts'

const PASSWORD = 'hunter2 is secret'
/** A refusal that kafkajs takes for a passing failure is tried four times. */
const BOUND_MS = 10_000
const UNTIL_STARTED_MS = 120_000

let folder: RunFolder
let server: KafkaServer
let tls: KafkaTls
let foreignCa: string
let client: Certificate
let foreignClient: Certificate

beforeAll(async () => {
  folder = await RunFolder.create()
  const authority = await CertificateAuthority.create(folder.at('authority'))
  const foreign = await CertificateAuthority.create(folder.at('foreign'))
  const certificate = await authority.server('broker')
  server = await KafkaServer.start({
    settings: KAFKA_AUTHORIZER,
    users: { publisher: PASSWORD },
    listeners: {
      sasl: { certificate, sasl: true },
      mutual: { certificate, clientAuthorityFile: authority.certFile },
      expired: { certificate: await authority.server('expired', { expired: true }) },
      misnamed: { certificate: await authority.server('misnamed', { addresses: ['kafka.example'] }) },
    },
  })
  tls = { ca: await readFile(authority.certFile, 'utf8') }
  foreignCa = await readFile(foreign.certFile, 'utf8')
  client = await authority.client('client')
  foreignClient = await foreign.client('client')
}, UNTIL_STARTED_MS)

afterAll(async () => {
  await server?.[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

const login = (mechanism: KafkaSasl['mechanism'], password = PASSWORD) => ({
  sasl: { mechanism, username: 'publisher', password },
})

async function pemsOf({ certFile, keyFile }: Certificate): Promise<KafkaTls> {
  return { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
}

/** What a service would throw and what it logged until then. */
async function refusalOf(listener: string, how: Omit<KafkaConnection, 'brokers'>) {
  const lines: string[] = []
  const log = serviceLog('test', 'trace', { write: (line) => lines.push(line) })
  try {
    await ask({ brokers: [brokersOf(listener)], ...how }, log)
  } catch (error) {
    const told = kafkaError(error)
    log.error({ err: told }, 'refused')
    if (isTidemarkError(told)) return { code: told.code, message: told.message, logged: lines.join('') }
    throw error
  }
  throw new Error('it was let in')
}

function brokersOf(listener: string): string {
  return listener === 'plain' ? server.brokers : server.brokersOf(listener)
}

function clientOf(connection: KafkaConnection, log = serviceLog('test', 'silent')) {
  return kafkaClient({ ...connection, clientId: 'test', requestTimeoutMs: 5_000, log })
}

async function ask(connection: KafkaConnection, log?: Logger): Promise<number> {
  const admin = clientOf(connection, log).admin()
  try {
    await admin.connect()
    return (await admin.describeCluster()).brokers.length
  } finally {
    await admin.disconnect()
  }
}

test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)(
  'a login by %s over TLS is let in',
  async (mechanism) => {
    await expect(ask({ brokers: [server.brokersOf('sasl')], tls, ...login(mechanism) })).resolves.toBe(1)
  },
)

test('a client certificate is let in, and the broker may be called by another of its names', async () => {
  const own = { ...tls, ...(await pemsOf(client)) }
  const byName = server.brokersOf('mutual').replace('127.0.0.1', 'localhost')
  await expect(ask({ brokers: [server.brokersOf('mutual')], tls: own })).resolves.toBe(1)
  await expect(ask({ brokers: [byName], tls: own })).resolves.toBe(1)
})

test.each(['plain', 'scram-sha-256'] as const)(
  'a wrong password by %s is refused, and told nowhere',
  async (mechanism) => {
    const { code, message, logged } = await refusalOf('sasl', { tls, ...login(mechanism, 'wrong hunter3') })
    expect(code).toBe('SERVER_REFUSED')
    expect(message).toContain('Mend TIDEMARK_KAFKA_SASL_USERNAME or the password')
    expect(logged).toContain('authentication failed')
    expect(logged).not.toContain('hunter3')
  },
)

const REFUSALS: readonly (readonly [string, string, () => Promise<Omit<KafkaConnection, 'brokers'>>, string])[] = [
  [
    'an unknown authority',
    'sasl',
    async () => ({ tls: { ca: foreignCa }, ...login('plain') }),
    'that signed the server',
  ],
  [
    'an authority that Node does not know',
    'sasl',
    async () => ({ tls: {}, ...login('plain') }),
    'that signed the server',
  ],
  ['an expired certificate', 'expired', async () => ({ tls }), 'Renew the server’s certificate'],
  ['a certificate for another host', 'misnamed', async () => ({ tls }), 'by a name that its certificate holds'],
  ['no client certificate', 'mutual', async () => ({ tls }), 'wants a client certificate'],
  [
    'a client certificate of somebody else’s',
    'mutual',
    async () => ({ tls: { ...tls, ...(await pemsOf(foreignClient)) } }),
    'wants a client certificate',
  ],
  ['plain text to a listener with TLS', 'sasl', async () => ({}), 'Set TIDEMARK_KAFKA_TLS=true'],
  ['a login to a listener without SASL', 'plain', async () => login('plain'), 'The listener takes no SASL'],
]

test.each(REFUSALS)('%s is refused within a bound, with how to mend it', async (_, listener, how, mend) => {
  const sinceMs = performance.now()
  const { code, message } = await refusalOf(listener, await how())
  expect([code, message]).toEqual(['SERVER_REFUSED', expect.stringContaining(mend)])
  expect(performance.now() - sinceMs).toBeLessThan(BOUND_MS)
})

/** A broker that stops closes its connections in the same way: no reason to give up. */
test.each([
  ['TLS to a listener in plain text', 'plain', () => ({ tls })],
  ['no login to a listener with SASL', 'sasl', () => ({ tls })],
])('%s fails within a bound, and says what to look at', async (_, listener, how) => {
  const sinceMs = performance.now()
  const { code, message } = await refusalOf(listener, how())
  expect([code, message]).toEqual(['SERVER_UNREACHABLE', expect.stringContaining('TLS and SASL')])
  expect(performance.now() - sinceMs).toBeLessThan(BOUND_MS)
})

test('what a topic is like is told to an account that may not read its settings, all but these', async () => {
  const owner = clientOf({ brokers: [server.brokers] })
  const account = clientOf({ brokers: [server.brokersOf('sasl')], tls, ...login('plain') })
  await ensureTopic(owner, { topic: 'shop', partitions: 2, replicationFactor: 1 })
  const admin = owner.admin()
  await admin.connect()
  const allow = (operation: number) =>
    admin.createAcls({
      acl: [
        {
          ...{ resourceType: kafkajs.AclResourceTypes.TOPIC, resourceName: 'shop', operation },
          ...{ resourcePatternType: kafkajs.ResourcePatternTypes.LITERAL, principal: 'User:publisher', host: '*' },
          permissionType: kafkajs.AclPermissionTypes.ALLOW,
        },
      ],
    })
  const seen = async () => (await readTopic(account, 'shop')).topic
  expect(await seen()).toBeUndefined()
  await allow(kafkajs.AclOperationTypes.DESCRIBE)
  await waitUntil('the account sees the topic', async () => (await seen()) !== undefined, { timeoutMs: 10_000 })
  const topic = await seen()
  expect([topic?.partitions.length, topic?.settings]).toEqual([2, undefined])
  await allow(kafkajs.AclOperationTypes.DESCRIBE_CONFIGS)
  await waitUntil('and its settings', async () => (await seen())?.settings !== undefined, { timeoutMs: 10_000 })
  await admin.disconnect()
})
