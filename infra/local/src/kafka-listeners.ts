import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Certificate } from './certificates.ts'
import { type KafkaSettings, type KafkaUsers, SCRAM } from './kafka-files.ts'
import { freePort } from './ports.ts'

/** A listener with TLS, beside the one in plain text, which stays the broker's own and the test's. */
export interface KafkaListener {
  readonly certificate: Certificate
  /** The PEM file of the authority whose clients are let in. Without one no client shows a certificate. */
  readonly clientAuthorityFile?: string
  /** True asks for a name and a password too: one of `users`. */
  readonly sasl?: boolean
}

/** By name, in lower-case letters. */
export type KafkaListeners = Readonly<Record<string, KafkaListener>>

/** Nobody may do what no ACL allows, but for those who come by the listener in plain text. */
export const KAFKA_AUTHORIZER: KafkaSettings = {
  'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
  'super.users': 'User:ANONYMOUS',
}

export async function portsOf(listeners: KafkaListeners): Promise<ReadonlyMap<string, number>> {
  const ports = new Map<string, number>()
  for (const name of Object.keys(listeners)) ports.set(name, await freePort())
  return ports
}

export interface ListenerPlace {
  readonly folder: string
  readonly ports: ReadonlyMap<string, number>
  /** The `listeners` of the broker without these. */
  readonly before: string
}

/** What the broker's settings say of its listeners with TLS; their keys are put into `folder`. */
export async function listenerSettings(
  listeners: KafkaListeners,
  users: KafkaUsers,
  { folder, ports, before }: ListenerPlace,
): Promise<KafkaSettings> {
  const entries = Object.entries(listeners)
  const stores = await Promise.all(entries.map(([name, listener]) => storeSettings(name, listener, folder)))
  const protocols = entries.map(([name, { sasl }]) => `${name}:${sasl ? 'SASL_SSL' : 'SSL'}`)
  return {
    listeners: [before, ...entries.map(([name]) => `${name}://127.0.0.1:${ports.get(name)}`)].join(','),
    'listener.security.protocol.map': ['CONTROLLER:PLAINTEXT', 'PLAINTEXT:PLAINTEXT', ...protocols].join(','),
    'sasl.enabled.mechanisms': ['PLAIN', ...SCRAM].join(','),
    // A client that shows a certificate is known by its common name alone.
    'ssl.principal.mapping.rules': 'RULE:^CN=([^,]+).*$/$1/,DEFAULT',
    ...Object.assign(
      {},
      ...stores,
      ...entries.flatMap(([name, { sasl }]) => (sasl ? [saslSettings(name, users)] : [])),
    ),
  }
}

async function storeSettings(name: string, listener: KafkaListener, folder: string): Promise<KafkaSettings> {
  const { certificate, clientAuthorityFile } = listener
  const keyStore = join(folder, `listener-${name}.pem`)
  const pems = [certificate.keyFile, certificate.certFile].map((file) => readFile(file, 'utf8'))
  await writeFile(keyStore, (await Promise.all(pems)).join(''), { mode: 0o600 })
  return prefixed(name, {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keyStore,
    ...(clientAuthorityFile && {
      'ssl.client.auth': 'required',
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.location': clientAuthorityFile,
    }),
  })
}

function saslSettings(name: string, users: KafkaUsers): KafkaSettings {
  const plainUsers = Object.entries(users).map(([user, password]) => `user_${user}="${password}"`)
  const scram = SCRAM.map((mechanism) => [
    `${mechanism.toLowerCase()}.sasl.jaas.config`,
    'org.apache.kafka.common.security.scram.ScramLoginModule required;',
  ])
  return prefixed(name, {
    'plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required ${plainUsers.join(' ')};`,
    ...Object.fromEntries(scram),
  })
}

function prefixed(name: string, settings: KafkaSettings): KafkaSettings {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [`listener.name.${name}.${key}`, value]))
}
