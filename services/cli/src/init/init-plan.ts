import { type TopicFacts, topicSettings, wrongPartitions } from '@tidemark/kafka'
import { createPublication, TIDEMARK_SCHEMA } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { SourceFacts } from '../facts/source-facts.ts'

/** What becomes of one part of a source. */
export interface Step {
  readonly part: 'schema' | 'publication' | 'topic' | 'slot and epoch'
  /** `blocked`: somebody has to mend something first. `publisher`: it does that itself. */
  readonly state: 'there' | 'to do' | 'blocked' | 'publisher'
  /** What it would run, or why it does not: shown below the line. */
  readonly detail: string
}

/** In the order in which they are done. */
export function planOf(source: Source, facts: SourceFacts, topic: TopicFacts, replicationFactor: number): Step[] {
  return [
    schema(facts),
    publication(source, facts),
    topicStep(source, topic, replicationFactor),
    slotAndEpoch(source, facts),
  ]
}

function schema({ grants }: SourceFacts): Step {
  const part = 'schema'
  return grants.hasEpochTable && grants.hasInvalidate
    ? { part, state: 'there', detail: 'tidemark.epoch, tidemark.invalidate' }
    : { part, state: 'to do', detail: TIDEMARK_SCHEMA.replaceAll(/^ {2}/gm, '').trim() }
}

function publication(source: Source, { publication: found, mistakes }: SourceFacts): Step {
  const part = 'publication'
  // It would publish changes that nobody can key.
  if (mistakes.length > 0) return { part, state: 'blocked', detail: linesOf(mistakes) }
  if (found === 'missing') return { part, state: 'to do', detail: `${createPublication(source)};` }
  if (found.length === 0) return { part, state: 'there', detail: source.publication }
  return { part, state: 'blocked', detail: linesOf(found) }
}

function linesOf(mistakes: readonly { readonly what: string; readonly mend: string }[]): string {
  return mistakes.map(({ what, mend }) => `${what}. ${mend}`).join('\n')
}

function topicStep(source: Source, { topic, brokers }: TopicFacts, replicationFactor: number): Step {
  const part = 'topic'
  if (topic !== undefined) {
    const found = topic.partitions.length
    if (found === source.partitions) return { part, state: 'there', detail: `${source.topic}, ${found} partitions` }
    return { part, state: 'blocked', detail: wrongPartitions(source.topic, found, source.partitions).message }
  }
  if (replicationFactor > brokers) {
    const detail = `TIDEMARK_KAFKA_REPLICATION_FACTOR is ${replicationFactor}, and there are ${brokers} broker(s)`
    return { part, state: 'blocked', detail }
  }
  const settings = Object.entries(topicSettings(replicationFactor)).map(([name, value]) => `${name}=${value}`)
  const made = [`${source.topic}: ${source.partitions} partitions, ${replicationFactor} copy(ies) of each`, ...settings]
  return { part, state: 'to do', detail: made.join('\n') }
}

/**
 * Never made here. The number of an epoch is taken by a claim in Kafka, with which a publisher shuts out all before it;
 * and a slot without an epoch would keep WAL for nobody, only to be made anew when it has one: nothing would prove that
 * the publication was whole when it began.
 */
function slotAndEpoch(source: Source, { epoch, slots, server }: SourceFacts): Step {
  const part = 'slot and epoch'
  const slot = slots.find(({ name }) => name === source.slot)
  if (slot && (slot.plugin !== 'pgoutput' || slot.database !== server.database)) {
    const detail = `slot ${slot.name} is somebody else’s: tidemark doctor says whose, and what to do`
    return { part, state: 'blocked', detail }
  }
  if (slot && typeof epoch === 'object' && epoch.start !== null) {
    return { part, state: 'there', detail: `${slot.name}, epoch ${epoch.number}` }
  }
  const detail = `the publisher makes slot ${source.slot} and opens an epoch when it is started`
  return { part, state: 'publisher', detail }
}

export function planText(source: Source, plan: readonly Step[]): string {
  const lines = plan.map(({ part, state, detail }) => `${state.padEnd(9)} ${part}\n${indented(detail)}`)
  return [`source ${source.name}`, ...lines].join('\n\n')
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, ' '.repeat(10))
}
