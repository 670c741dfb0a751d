import { type TopicFacts, topicSettings, wrongPartitions } from '@tidemark/kafka'
import { createPublication, TIDEMARK_SCHEMA } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { SourceFacts } from './source-facts.ts'

/** What becomes of one part of a source. */
export interface Step {
  readonly part: 'schema' | 'publication' | 'topic' | 'slot and first epoch'
  /** `blocked`: somebody has to mend something first. `publisher`: only it can decide. */
  readonly state: 'there' | 'to do' | 'blocked' | 'publisher'
  /** What it would run, or why it does not: shown below the line. */
  readonly detail: string
}

/** In the order in which they are done: the slot last, for it keeps WAL from then on. */
export function planOf(source: Source, facts: SourceFacts, topic: TopicFacts, replicationFactor: number): Step[] {
  return [
    schema(facts),
    publication(source, facts),
    topicStep(source, topic, replicationFactor),
    slotAndEpoch(source, facts, topic),
  ]
}

function schema({ grants }: SourceFacts): Step {
  const part = 'schema'
  return grants.hasEpochTable && grants.hasInvalidate
    ? { part, state: 'there', detail: 'tidemark.epoch, tidemark.invalidate' }
    : { part, state: 'to do', detail: TIDEMARK_SCHEMA.replaceAll(/^ {2}/gm, '').trim() }
}

function publication(source: Source, { publication: found, refusal }: SourceFacts): Step {
  const part = 'publication'
  // It would publish changes that nobody can key.
  if (refusal !== undefined) return { part, state: 'blocked', detail: refusal }
  if (found === 'missing') return { part, state: 'to do', detail: `${createPublication(source)};` }
  if (found.length === 0) return { part, state: 'there', detail: source.publication }
  return { part, state: 'blocked', detail: found.map(({ what, mend }) => `${what}. ${mend}`).join('\n') }
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

/** Numbers of epochs are given once; which Kafka has seen, only the publisher finds out. */
function slotAndEpoch(source: Source, { epoch, slots, server }: SourceFacts, { topic }: TopicFacts): Step {
  const part = 'slot and first epoch'
  const slot = slots.find(({ name }) => name === source.slot)
  if (slot && (slot.plugin !== 'pgoutput' || slot.database !== server.database)) {
    const detail = `slot ${slot.name} is somebody else’s: tidemark doctor says whose, and what to do`
    return { part, state: 'blocked', detail }
  }
  if (typeof epoch === 'object' && epoch.start !== null) {
    if (slot) return { part, state: 'there', detail: `${slot.name}, epoch ${epoch.number}` }
    return byPublisher(`the slot of epoch ${epoch.number} is gone`)
  }
  if (typeof epoch === 'object' && (epoch.number !== 1 || epoch.shape === null)) {
    return byPublisher(`the opening of epoch ${epoch.number} was cut off`)
  }
  if (slot) return byPublisher('the slot was made by somebody else')
  if (topic?.partitions.some(({ high }) => high > 0n)) return byPublisher('the topic holds, or held, records')
  const detail =
    `insert into tidemark.epoch … epoch 1 of ${source.name};\n` +
    `select pg_create_logical_replication_slot('${source.slot}', 'pgoutput');\n` +
    'From then on the server keeps WAL for it: start the publisher soon.'
  return { part, state: 'to do', detail }
}

function byPublisher(why: string): Step {
  const detail = `${why}: the publisher makes the slot, and opens a new epoch, at its next start`
  return { part: 'slot and first epoch', state: 'publisher', detail }
}

export function planText(source: Source, plan: readonly Step[]): string {
  const lines = plan.map(({ part, state, detail }) => `${state.padEnd(9)} ${part}\n${indented(detail)}`)
  return [`source ${source.name}`, ...lines].join('\n\n')
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, ' '.repeat(10))
}
