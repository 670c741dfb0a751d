import { tlsRefusal } from '@tidemark/service'
import { SPEAKS_TLS } from './plain-socket.ts'

/** What Kafka, or TLS, refuses and trying again cannot mend. */
export interface Refusal {
  readonly reason: string
  readonly mend: string
}

const ACLS = 'packages/kafka/README.md lists the ACLs that publisher and workers need'

/** Kafka's own names of its errors. */
const MENDS: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED: `Grant what is missing on the topic: ${ACLS}`,
  GROUP_AUTHORIZATION_FAILED: `Grant what is missing on the consumer group: ${ACLS}`,
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: `Grant what is missing on the transactional id: ${ACLS}`,
  CLUSTER_AUTHORIZATION_FAILED: `Grant Write on the topic, without which nobody may produce idempotently: ${ACLS}`,
  SASL_AUTHENTICATION_FAILED: 'Mend TIDEMARK_KAFKA_SASL_USERNAME or the password',
  UNSUPPORTED_SASL_MECHANISM: 'Give TIDEMARK_KAFKA_SASL_MECHANISM one that the listener takes',
  ILLEGAL_SASL_STATE: 'The listener takes no SASL: unset TIDEMARK_KAFKA_SASL_MECHANISM, or name its port with SASL',
}

/** Why an error of kafkajs is a refusal; undefined for one that may pass. */
export function refusalOf(error: unknown): Refusal | undefined {
  for (const link of linksOf(error)) {
    const mend = mendOf(link)
    if (mend !== undefined) return { reason: link.message.trim(), mend }
  }
  return undefined
}

function mendOf(error: Error): string | undefined {
  const { type, code } = error as { type?: unknown; code?: unknown }
  if (typeof type === 'string' && type in MENDS) return MENDS[type]
  if (code === SPEAKS_TLS) return 'Set TIDEMARK_KAFKA_TLS=true, or name the port of a listener in plain text'
  if (error.name === 'KafkaJSSASLAuthenticationError' && !wasCutOff(error)) return MENDS.SASL_AUTHENTICATION_FAILED
  return tlsRefusal(error)
}

/**
 * kafkajs calls whatever goes wrong while it logs in a failed authentication, a broker's crash included, and keeps of
 * the cause only its words.
 */
function wasCutOff({ message }: Error): boolean {
  return /closed|disconnected|timed out|not connected|connection error/i.test(message)
}

const MAX_LINKS = 20

/** The error, and all that it came from, whichever way kafkajs keeps it. */
function linksOf(error: unknown): Error[] {
  const links: Error[] = []
  const left = [error]
  while (left.length > 0 && links.length < MAX_LINKS) {
    const link = left.shift()
    if (!(link instanceof Error)) continue
    links.push(link)
    left.push(link.cause, ...((link as { errors?: unknown[] }).errors ?? []))
  }
  return links
}
