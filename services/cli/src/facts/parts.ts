import { readTopic, type TopicFacts } from '@tidemark/kafka'
import type { Source } from '@tidemark/protocol'
import { redactUrls } from '@tidemark/service'
import { withKafka, withPostgres, withRedis } from '../connections.ts'
import type { Servers } from '../settings.ts'
import { type RedisFacts, readRedis } from './redis-facts.ts'
import { type ReplicaFacts, readReplica } from './replica-facts.ts'
import { readSource, type SourceFacts } from './source-facts.ts'

/** What a part answered, or why it did not. */
export type Answer<T> = { readonly facts: T } | { readonly failure: string }

export type Named<T> = { readonly name: string } & Answer<T>

/** All that a source stands on, as it is now. */
export interface Parts {
  readonly source: Answer<SourceFacts>
  readonly topic: Answer<TopicFacts>
  readonly regions: readonly Named<RedisFacts>[]
  readonly replicas: readonly Named<ReplicaFacts>[]
}

/** Asks every part at the same time; none waits for another, and each has its own deadline. */
export async function readParts(source: Source, servers: Servers): Promise<Parts> {
  const [primary, topic, regions, replicas] = await Promise.all([
    answerOf(withPostgres(servers.primaryUrl, (client) => readSource(client, source))),
    answerOf(withKafka(servers.kafka, (kafka) => readTopic(kafka, source.topic))),
    askEach(servers.regions, (region) => withRedis(region.redis, (redis) => readRedis(redis, source))),
    askEach(servers.replicas, ({ url }) => withPostgres(url, (client) => readReplica(client, source))),
  ])
  return { source: primary, topic, regions, replicas }
}

/** Of each server by its name, as `answerOf` says it. */
export function askEach<S extends { readonly name: string }, T>(
  servers: readonly S[],
  ask: (server: S) => Promise<T>,
): Promise<Named<T>[]> {
  return Promise.all(servers.map(async (server) => ({ name: server.name, ...(await answerOf(ask(server))) })))
}

/** Of one part: its failure holds nobody else's answer up. */
export async function answerOf<T>(asked: Promise<T>): Promise<Answer<T>> {
  try {
    return { facts: await asked }
  } catch (error) {
    return { failure: redactUrls(error instanceof Error ? error.message : String(error)) }
  }
}

export function factsOf<T>(answer: Answer<T>): T | undefined {
  return 'facts' in answer ? answer.facts : undefined
}
