import { endsOf, streamRange } from '@tidemark/kafka'
import { type Position, parseLsn, partitionOf, position, type Source } from '@tidemark/protocol'
import { loadSource } from '@tidemark/service'
import { ArgumentMistakes } from '../argument-mistakes.ts'
import type { Command, Flags } from '../command.ts'
import { withPostgres } from '../connections.ts'
import { EXIT_CODE } from '../exit-code.ts'
import { answerOf, askEach } from '../facts/parts.ts'
import { type ReplicaFacts, readReplica } from '../facts/replica-facts.ts'
import { withBigints } from '../json.ts'
import { type ChosenKey, chosenKey } from '../key-choice.ts'
import { regionsOf } from '../region-choice.ts'
import { type NamedRedis, readServers, type Servers } from '../settings.ts'
import { withTopic } from '../topic-connection.ts'
import { coherenceOf } from './coherence.ts'
import { type InspectReport, isStale } from './inspect-report.ts'
import { inspectText } from './inspect-text.ts'
import { type EventSearch, newestEvent } from './newest-event.ts'
import { readSight } from './region-sight.ts'
import { readRows } from './row-facts.ts'

export const inspect: Command = {
  name: 'inspect',
  summary: 'what every part knows of one key, and whether it would be served as fresh',
  help: `usage: tidemark inspect KEY [--region NAME] [--value] [--search N] [--json]

Of each region: view, cell, label, lease, tombstone, what a reader without a session would get now and why, and what a refill
needs. Of the source: the newest event of the key in the topic, and who wrote its rows last. It changes nothing.

  --region  this one alone
  --value   the value, too
  --search  records to look at for the newest event, from the end of the key's partition back; 100000 unless given
  --json    all of it, for machines

Exit code: 0 looked at everything; 1 a cell is STALE, or a part does not answer; 2 mistaken arguments or settings.`,
  options: {
    region: { type: 'string' },
    value: { type: 'boolean' },
    search: { type: 'string' },
    json: { type: 'boolean' },
  },
  takesOperands: true,
  run: async (flags, { env, print }, operands) => {
    const servers = readServers(env)
    const source = await loadSource(servers.config)
    const terms = inspectTerms(flags, operands, source, servers.regions)
    const report = await readReport(source, servers, terms)
    print(flags.json ? JSON.stringify(report, withBigints, 2) : inspectText(report, Date.now()))
    const parts = [report.newest, report.rows, ...report.regions, ...report.replicas]
    return isStale(report) || parts.some((part) => 'failure' in part) ? EXIT_CODE.wrong : EXIT_CODE.fine
  },
}

interface InspectTerms extends ChosenKey {
  readonly regions: readonly NamedRedis[]
  readonly withValue: boolean
  readonly maxRecords: bigint
}

const DEFAULT_SEARCH = '100000'

function inspectTerms(
  flags: Flags,
  operands: readonly string[],
  source: Source,
  regions: readonly NamedRedis[],
): InspectTerms {
  const mistakes = new ArgumentMistakes()
  const [key, ...more] = operands
  if (key === undefined || more.length > 0) mistakes.add('say one key, as product:7')
  const chosen = key === undefined ? undefined : chosenKey(key, source, mistakes)
  const chosenRegions = regionsOf(flags.region, regions, mistakes)
  const search = String(flags.search ?? DEFAULT_SEARCH)
  if (!/^\d{1,12}$/.test(search)) mistakes.add(`--search ${JSON.stringify(search)}: give a number of records`)
  mistakes.throwIfAny()
  return { ...chosen!, regions: chosenRegions, withValue: flags.value === true, maxRecords: BigInt(search) }
}

/** Every part at the same time, each with its own deadline. */
async function readReport(source: Source, servers: Servers, terms: InspectTerms): Promise<InspectReport> {
  const { key, keyspace, regions, withValue } = terms
  const [newest, rows, sights, replicas] = await Promise.all([
    answerOf(search(source, servers, terms)),
    answerOf(withPostgres(servers.primaryUrl, (client) => readRows(client, keyspace, key))),
    askEach(regions, (region) => readSight(region, source, key, withValue)),
    askEach(servers.replicas, ({ url }) =>
      withPostgres(url, async (client) => standing(await readReplica(client, source))),
    ),
  ])
  const found = 'facts' in newest ? newest.facts.found : null
  const nowMs = Date.now()
  return {
    ...{ key, keyspace, partition: partitionOf(key, source.partitions), replicas, newest, rows },
    regions: sights.map((sight) => {
      if (!('facts' in sight)) return sight
      const coherence = coherenceOf(sight.facts.inspection, keyspace, source, found, nowMs)
      return { name: sight.name, facts: { ...sight.facts, coherence } }
    }),
  }
}

function search({ topic, partitions }: Source, { kafka }: Servers, { key, maxRecords }: InspectTerms) {
  return withTopic(kafka, topic, async (cluster): Promise<EventSearch> => {
    const partition = partitionOf(key, partitions)
    const ends = (await endsOf(cluster, topic)).find((end) => end.partition === partition)!
    return newestEvent(key, ends, maxRecords, (from, to) => streamRange(cluster, topic, partition, from, to))
  })
}

/** Where it stands, of the history that it follows itself. */
function standing({ replayed, epoch }: ReplicaFacts): { readonly position: Position | null } {
  if (replayed === null || typeof epoch !== 'object') return { position: null }
  return { position: position(epoch.number, parseLsn(replayed)) }
}
