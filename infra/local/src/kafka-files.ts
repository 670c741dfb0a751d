import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { cached } from './cache.ts'
import { type FetchOptions, fetchWithMaven } from './maven.ts'

export const KAFKA_VERSION = '4.3.1'
export const KAFKA_FOLDER = resolve(import.meta.dirname, '../kafka')

/** The folder of Kafka's jars, fetched the first time. */
export async function kafkaJars({ onProgress = () => undefined, signal }: FetchOptions): Promise<string> {
  return cached(`kafka-${KAFKA_VERSION}`, async (folder) => {
    onProgress(`kafka: fetching ${KAFKA_VERSION} with Maven (first time only)`)
    await fetchWithMaven({
      what: `Kafka ${KAFKA_VERSION}`,
      instead: 'give TIDEMARK_KAFKA_BROKERS',
      pom: join(KAFKA_FOLDER, 'pom.xml'),
      goal: ['dependency:copy-dependencies', '-DincludeScope=runtime'],
      folder,
      signal,
    })
  })
}

export const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

/** Name to password. */
export type KafkaUsers = Readonly<Record<string, string>>

/** Which of a cluster's nodes a broker is; each is a controller too. */
export interface KafkaMember {
  readonly clusterId: string
  /** From 1. */
  readonly nodeId: number
  /** Of all nodes, in the order of their ids. */
  readonly controllerPorts: readonly number[]
}

export interface Format {
  readonly data: string
  readonly member: KafkaMember
  /** SCRAM's names and passwords are part of what is formatted. */
  readonly users: KafkaUsers
  readonly java: string
  readonly jars: string
}

/**
 * Makes `data` a formatted log folder of this node. StorageTool costs the start of a Java machine, so its result is copied
 * from then on, unless there are users. (The voters are in the settings, not in what it formats.)
 */
export async function formatData({ data, member, users, java, jars }: Format): Promise<void> {
  await mkdir(data, { recursive: true })
  if (Object.keys(users).length > 0) return runStorageTool(dirname(data), member, java, jars, scramArguments(users))
  const template = await cached(`kafka-${KAFKA_VERSION}-formatted`, (folder) =>
    runStorageTool(folder, { clusterId: kafkaUuid(), nodeId: 1, controllerPorts: [2] }, java, jars),
  )
  await copyFile(join(template, 'data/bootstrap.checkpoint'), join(data, 'bootstrap.checkpoint'))
  const meta = await readFile(join(template, 'data/meta.properties'), 'utf8')
  await writeFile(join(data, 'meta.properties'), ownMeta(meta, member))
}

function ownMeta(meta: string, { clusterId, nodeId }: KafkaMember): string {
  const own = { 'cluster.id': clusterId, 'node.id': nodeId, 'directory.id': kafkaUuid() }
  return Object.entries(own).reduce(
    (text, [name, value]) => text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`),
    meta,
  )
}

async function runStorageTool(
  folder: string,
  member: KafkaMember,
  java: string,
  jars: string,
  more: readonly string[] = [],
): Promise<void> {
  const file = join(folder, 'format.properties')
  await writeFile(file, propertiesText(brokerSettings({ data: join(folder, 'data'), port: 1, member })))
  const args = [
    '-cp',
    join(jars, '*'),
    'kafka.tools.StorageTool',
    'format',
    '-t',
    member.clusterId,
    '-c',
    file,
    ...more,
  ]
  await promisify(execFile)(java, ['-Xmx128m', ...args], { maxBuffer: 64 * 1024 * 1024 })
}

function scramArguments(users: KafkaUsers): string[] {
  return Object.entries(users).flatMap(([name, password]) =>
    SCRAM.flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
  )
}

/** Sixteen bytes in URL-safe base64. The tools take a leading dash for an option. */
export function kafkaUuid(): string {
  const id = randomBytes(16)
  id[0] = (id[0] as number) & 0x7f
  return id.toString('base64url')
}

export type KafkaSettings = Readonly<Record<string, string | number | boolean>>

export interface BrokerPlace {
  readonly data: string
  readonly port: number
  readonly member: KafkaMember
}

/**
 * One process that is broker and controller, for one machine: nothing spawned in dozens. What Kafka keeps for itself has
 * a replica on each node, and is acknowledged by all but one of them.
 */
export function brokerSettings({ data, port, member }: BrokerPlace): KafkaSettings {
  const { nodeId, controllerPorts } = member
  const replicas = controllerPorts.length
  const inSync = Math.max(1, replicas - 1)
  return {
    'process.roles': 'broker,controller',
    'node.id': nodeId,
    'controller.quorum.voters': controllerPorts.map((at, index) => `${index + 1}@127.0.0.1:${at}`).join(','),
    'controller.listener.names': 'CONTROLLER',
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPorts[nodeId - 1]}`,
    'log.dirs': data,
    // A misspelt topic must be an error, not a new topic.
    'auto.create.topics.enable': false,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': inSync,
    'share.coordinator.state.topic.num.partitions': 1,
    // Consumers need not wait for others that might join in a moment.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1_000,
    // After a crash a broker is let in again only when its former session has run out.
    'broker.session.timeout.ms': 2_000,
    'broker.heartbeat.interval.ms': 500,
    // The default of 128 MB is half of our heap.
    'log.cleaner.dedupe.buffer.size': 4 * 1024 * 1024,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
  }
}

export function propertiesText(settings: KafkaSettings): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('')
}
