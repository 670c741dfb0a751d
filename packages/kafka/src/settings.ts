import { readTlsFiles, SettingsMistakes } from '@tidemark/service'
import { z } from 'zod'
import type { KafkaConnection, KafkaSasl, KafkaTls } from './client.ts'

const path = () => z.string().optional()

/** How to reach Kafka: to be spread into the settings of whatever does. {@link kafkaConnection} makes use of them. */
export const kafkaSettings = {
  TIDEMARK_KAFKA_BROKERS: z
    .string()
    .transform((text) => text.split(',').map((broker) => broker.trim()))
    .pipe(z.array(z.string().regex(/^[^\s,]+:\d+$/, 'must be host:port, several with commas')))
    .describe('The brokers to ask first: host:port, several with commas.'),
  TIDEMARK_KAFKA_TLS: z
    .stringbool()
    .default(false)
    .describe('Whether to speak TLS. The brokers’ certificates are always verified, names included.'),
  TIDEMARK_KAFKA_TLS_CA_FILE: path().describe(
    'PEM file of the authority that signed the brokers’ certificates; those that Node knows unless given.',
  ),
  TIDEMARK_KAFKA_TLS_CERT_FILE: path().describe('PEM file of the client’s certificate, for mutual TLS.'),
  TIDEMARK_KAFKA_TLS_KEY_FILE: path().describe('PEM file of its key, not encrypted.'),
  TIDEMARK_KAFKA_SASL_MECHANISM: z
    .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
    .optional()
    .describe('How to log in; `plain` only with TLS, for it sends the password as it is.'),
  TIDEMARK_KAFKA_SASL_USERNAME: z.string().optional().describe('Whom to log in as.'),
  TIDEMARK_KAFKA_SASL_PASSWORD: z.string().optional().meta({ secret: true }).describe('The password.'),
  TIDEMARK_KAFKA_SASL_PASSWORD_FILE: path().describe('The file that holds it instead, as containers mount secrets.'),
}

export type KafkaSettings = z.output<z.ZodObject<typeof kafkaSettings>>

/**
 * The connection that the settings speak of, with what their files hold: they are read once, and again when the service
 * starts again. Throws SETTINGS_INVALID with all that is wrong.
 */
export function kafkaConnection(given: KafkaSettings): KafkaConnection {
  const mistakes = new SettingsMistakes()
  const tls = tlsOf(given, mistakes)
  const sasl = saslOf(given, mistakes)
  mistakes.throwIfAny()
  return { brokers: given.TIDEMARK_KAFKA_BROKERS, tls, sasl }
}

const PEM_FILES = {
  ca: 'TIDEMARK_KAFKA_TLS_CA_FILE',
  cert: 'TIDEMARK_KAFKA_TLS_CERT_FILE',
  key: 'TIDEMARK_KAFKA_TLS_KEY_FILE',
} as const

function tlsOf(given: KafkaSettings, mistakes: SettingsMistakes): KafkaTls | undefined {
  if (given.TIDEMARK_KAFKA_TLS) return readTlsFiles(PEM_FILES, given, mistakes)
  // Whoever names a certificate believes the connection to be encrypted.
  if (Object.values(PEM_FILES).some((name) => given[name])) {
    mistakes.add('TIDEMARK_KAFKA_TLS_…_FILE: nothing without TIDEMARK_KAFKA_TLS=true')
  }
  return undefined
}

function saslOf(given: KafkaSettings, mistakes: SettingsMistakes): KafkaSasl | undefined {
  const {
    TIDEMARK_KAFKA_SASL_MECHANISM: mechanism,
    TIDEMARK_KAFKA_SASL_USERNAME: username,
    TIDEMARK_KAFKA_SASL_PASSWORD: ownPassword,
    TIDEMARK_KAFKA_SASL_PASSWORD_FILE: passwordFile,
  } = given
  if (mechanism === undefined) {
    const isMeant = username ?? ownPassword ?? passwordFile
    if (isMeant) mistakes.add('TIDEMARK_KAFKA_SASL_MECHANISM is missing: nobody logs in without it')
    return undefined
  }
  if (mechanism === 'plain' && !given.TIDEMARK_KAFKA_TLS) {
    mistakes.add(
      'TIDEMARK_KAFKA_SASL_MECHANISM="plain": would send the password in the clear without TIDEMARK_KAFKA_TLS',
    )
  }
  if (username === undefined) mistakes.add('TIDEMARK_KAFKA_SASL_USERNAME is missing')
  if ((ownPassword ?? passwordFile) === undefined) mistakes.add('TIDEMARK_KAFKA_SASL_PASSWORD is missing')
  const password = mistakes.secret('TIDEMARK_KAFKA_SASL_PASSWORD', ownPassword, passwordFile)
  return { mechanism, username: username ?? '', password: password ?? '' }
}
