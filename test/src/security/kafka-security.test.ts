import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { KafkaConnection, KafkaTls } from '@tidemark/kafka'
import {
  type Certificate,
  CertificateAuthority,
  KAFKA_AUTHORIZER,
  KafkaServer,
  RunFolder,
  waitUntil,
} from '@tidemark/local'
import { runPublisher } from '@tidemark/publisher'
import { redisAt } from '@tidemark/redis'
import { runWorker } from '@tidemark/worker'
import kafkajs, { type AclEntry, type Admin, Kafka, logLevel } from 'kafkajs'
import { pino } from 'pino'
import { runToEnd } from '../pipeline/ended-process.ts'
import { PipelineContext } from '../pipeline/pipeline-context.ts'
import { aclsOf, nameOf } from './kafka-acls.ts'

const ROOT = join(import.meta.dirname, '../../..')
const DOCUMENTED = aclsOf(readFileSync(join(ROOT, 'packages/kafka/README.md'), 'utf8'))
const USERS = { publisher: 'publisher secret', worker: 'worker secret' }
const UNTIL_STARTED_MS = 120_000
const IN_TIME = { timeoutMs: 30_000 }

type Service = keyof typeof USERS

let folder: RunFolder
let authority: CertificateAuthority
let server: KafkaServer
let context: PipelineContext
let admin: Admin
let acls: readonly AclEntry[]

beforeAll(async () => {
  folder = await RunFolder.create()
  authority = await CertificateAuthority.create(folder.path)
  const certificate = await authority.server('broker')
  server = await KafkaServer.start({
    users: USERS,
    listeners: { sasl: { certificate, sasl: true }, mutual: { certificate, clientAuthorityFile: authority.certFile } },
    settings: KAFKA_AUTHORIZER,
  })
  context = await PipelineContext.open({ partitions: 2, servers: { brokers: [server.brokers] } })
  admin = new Kafka({ brokers: [server.brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: context.source.topic, numPartitions: 2 }], waitForLeaders: true })
  acls = DOCUMENTED.map((acl) => ({ ...acl, resourceName: acl.resourceName.replace('shop', context.source.name) }))
  await grant(acls)
  // There is something to read: of an empty topic nothing would be refused.
  await deliverOne(byScram('publisher'), byScram('worker'))
}, UNTIL_STARTED_MS)

afterAll(async () => {
  await admin?.disconnect()
  await context?.[Symbol.asyncDispose]()
  await server?.[Symbol.asyncDispose]()
  await folder?.[Symbol.asyncDispose]()
})

/** @param total how many there are then */
async function grant(granted: readonly AclEntry[], total = acls.length): Promise<void> {
  await admin.createAcls({ acl: [...granted] })
  await untilAcls(total)
}

/** The broker has it from the controller in its own time. */
async function untilAcls(count: number): Promise<void> {
  const any = { resourceType: 1, resourcePatternType: 1, operation: 1, permissionType: 1 }
  const granted = async () => (await admin.describeAcls(any)).resources.reduce((sum, r) => sum + r.acls.length, 0)
  await waitUntil(`${count} ACLs are in force`, async () => (await granted()) === count, IN_TIME)
}

async function revoke(acl: AclEntry): Promise<void> {
  await admin.deleteAcls({ filters: [acl] })
  await untilAcls(acls.length - 1)
}

const trusted = (): KafkaTls => ({ ca: readFileSync(authority.certFile, 'utf8') })

function byScram(username: Service): KafkaConnection {
  const sasl = { mechanism: 'scram-sha-512', username, password: USERS[username] } as const
  return { brokers: [server.brokersOf('sasl')], tls: trusted(), sasl }
}

/** Known to the broker, and to its ACLs, by the common name. */
function byCertificate({ certFile, keyFile }: Certificate): KafkaConnection {
  const own = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  return { brokers: [server.brokersOf('mutual')], tls: { ...trusted(), ...own } }
}

/** Resolves with what ended it. */
function run(service: Service, kafka: KafkaConnection, signal: AbortSignal): Promise<unknown> {
  const { source, servers } = context
  const common = { source, ...kafka, log: pino({ level: 'silent' }), signal }
  const ended: Promise<unknown> =
    service === 'publisher'
      ? runPublisher({ ...common, postgresUrl: servers.primaryUrl, beatMs: 50 })
      : runWorker({ ...common, region: 'eu-west', redis: redisAt(servers.redisUrl) })
  return ended.catch((error: unknown) => error)
}

/** An event from the table to the region's Redis; whatever ends a service before is thrown. */
async function deliverOne(publisher: KafkaConnection, worker: KafkaConnection): Promise<void> {
  const ending = new AbortController()
  const lives = [run('publisher', publisher, ending.signal), run('worker', worker, ending.signal)]
  const early = Promise.race(lives).then((error) => Promise.reject(error))
  try {
    await Promise.race([early, delivered()])
  } finally {
    ending.abort()
    await Promise.all(lives)
  }
}

async function delivered(): Promise<void> {
  await waitUntil('there is an epoch', async () => (await context.here()) !== undefined, IN_TIME)
  await context.caughtUp()
  const before = await newest()
  await context.primary.query('insert into hot values ((select count(*) from hot), 1)')
  await context.caughtUp()
  expect(await newest()).not.toEqual(before)
}

async function newest() {
  return (await context.views()).map((view) => view?.newest)
}

test('an event goes from Postgres to Redis by SCRAM over TLS, with the ACLs that the README lists and no other', async () => {
  await deliverOne(byScram('publisher'), byScram('worker'))
})

test('an event goes from Postgres to Redis by mutual TLS, with the same ACLs', async () => {
  await deliverOne(byCertificate(await authority.client('publisher')), byCertificate(await authority.client('worker')))
})

test.each(DOCUMENTED.map((acl, at) => [nameOf(acl), at] as const))(
  '%s is refused, and not tried again',
  async (_, at) => {
    const acl = acls[at]!
    await revoke(acl)
    try {
      const service = acl.principal === 'User:publisher' ? 'publisher' : 'worker'
      const end = await run(service, byScram(service), AbortSignal.timeout(IN_TIME.timeoutMs))
      expect(end).toMatchObject({ code: 'SERVER_REFUSED', mend: expect.stringContaining('packages/kafka/README.md') })
    } finally {
      await grant([acl])
    }
  },
)

test('a topic that is missing is made by a publisher that may, and no other', async () => {
  const { topic } = context.source
  await admin.deleteTopics({ topics: [topic] })
  const isThere = async () => (await admin.listTopics()).includes(topic)
  await waitUntil('the topic is gone', async () => !(await isThere()), IN_TIME)
  const refused = await run('publisher', byScram('publisher'), AbortSignal.timeout(IN_TIME.timeoutMs))
  expect(refused).toMatchObject({ code: 'SERVER_REFUSED' })
  await grant([{ ...acls[0]!, operation: kafkajs.AclOperationTypes.CREATE }], acls.length + 1)
  const ending = new AbortController()
  const life = run('publisher', byScram('publisher'), ending.signal)
  try {
    await waitUntil('the topic is there', isThere, IN_TIME)
  } finally {
    ending.abort()
    await life
  }
})

test.each(['publisher', 'worker'] as const)('the password is in nothing that a %s prints', async (service) => {
  const primaryUrl = new URL(context.servers.primaryUrl)
  primaryUrl.password = 'hunter3'
  const secrets = { TIDEMARK_KAFKA_SASL_PASSWORD: 'hunter2', TIDEMARK_PRIMARY_URL: primaryUrl.href }
  const [refused, asked] = await Promise.all([printed(service, [], secrets), printed(service, ['--help'], secrets)])
  expect(refused).toEqual({ code: 1, text: expect.stringContaining('SERVER_REFUSED') })
  expect(asked).toEqual({ code: 0, text: expect.stringContaining('TIDEMARK_KAFKA_SASL_PASSWORD') })
  expect(refused.text + asked.text).not.toMatch(/hunter/)
})

test('verification holds where an environment variable of Node would switch it off', async () => {
  const login = { TIDEMARK_KAFKA_SASL_PASSWORD: USERS.worker, TIDEMARK_KAFKA_TLS_CA_FILE: '' }
  const { code, text } = await printed('worker', [], { ...login, NODE_TLS_REJECT_UNAUTHORIZED: '0' })
  expect(text).toContain('that signed the server’s certificate')
  expect(code).toBe(1)
})

async function printed(service: Service, args: readonly string[], env: Record<string, string>) {
  const { code, stdout, stderr } = await runToEnd(service, args, {
    TIDEMARK_TEST_NAME: context.name,
    TIDEMARK_CONFIG: join(ROOT, 'test/src/pipeline/hot.config.ts'),
    TIDEMARK_KAFKA_BROKERS: server.brokersOf('sasl'),
    TIDEMARK_KAFKA_TLS: 'true',
    TIDEMARK_KAFKA_TLS_CA_FILE: authority.certFile,
    TIDEMARK_KAFKA_SASL_MECHANISM: 'plain',
    TIDEMARK_KAFKA_SASL_USERNAME: service,
    TIDEMARK_REDIS_URL: context.servers.redisUrl,
    TIDEMARK_REGION: 'eu-west',
    TIDEMARK_TELEMETRY_PORT: '0',
    TIDEMARK_LOG_LEVEL: 'trace',
    ...env,
  })
  return { code, text: stdout + stderr }
}
