import { Guard, partitionKeys, type RedisClient } from '@tidemark/guard'
import { type Cluster, endsOf, offsetsAt, streamRange, wrongPartitions } from '@tidemark/kafka'
import type { Source } from '@tidemark/protocol'
import { loadSource } from '@tidemark/service'
import type { Command, Flags, Terminal } from '../command.ts'
import { withRedisOpen } from '../connections.ts'
import { EXIT_CODE, type ExitCode } from '../exit-code.ts'
import { withBigints } from '../json.ts'
import { readServers } from '../settings.ts'
import { withTopic } from '../topic-connection.ts'
import { replayPartition } from './partition-replay.ts'
import { repairsOf } from './repairs.ts'
import { type PartitionFacts, planOf, type ReplayRange } from './replay-plan.ts'
import { ReplayTally } from './replay-tally.ts'
import { type ReplayTerms, replayTerms, type Start } from './replay-terms.ts'
import { planText, type RangeReport, reportText, troubles } from './replay-text.ts'
import { firstOfStream, offsetOfVersion } from './version-search.ts'

export const replay: Command = {
  name: 'replay',
  summary: 'reads the topic again and mends a region by it; it can only make things fresher',
  help: `usage: tidemark replay --region NAME (--from-offset N | --from-time TIME | --from-version EPOCH/LSN)
                       [--partition P] [--keyspace NAME] [--yes] [--json]

Applies events and floors that the topic still holds once more, up to where the region's workers are; these go on
meanwhile. What a cell or tombstone knows already changes nothing; watermarks and offsets are not touched. Without --yes it
shows what it would do.

  --region        the region, as its variable names it
  --from-offset   an offset of each partition, or of the one that --partition names
  --from-time     30s-ago, 5m-ago, 2h-ago, or with its zone as 2026-01-31T12:00:00Z: when Kafka took the record
  --from-version  as 1/16/B374D848: whatever was committed there or later
  --partition     this one alone
  --keyspace      this one alone
  --yes           do it
  --json          the plan, or the report, as JSON

SIGINT ends it after the batch in hand; it can be repeated. Exit code: 0 done, or nothing to do; 10 something to do; 1 a part
of it is gone from Kafka, was not done, or cannot be; 2 mistaken arguments or settings.`,
  options: {
    region: { type: 'string' },
    'from-offset': { type: 'string' },
    'from-time': { type: 'string' },
    'from-version': { type: 'string' },
    partition: { type: 'string' },
    keyspace: { type: 'string' },
    yes: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  run: async (flags, terminal) => {
    const servers = readServers(terminal.env)
    const source = await loadSource(servers.config)
    const terms = replayTerms(flags, source, servers, Date.now())
    return withTopic(servers.kafka, source.topic, (cluster) =>
      withRedisOpen(terms.region.redis, (redis) => new Replay(source, terms, cluster, redis, terminal).run(flags)),
    )
  },
}

const PROGRESS_MS = 3_000
/** Enough for some records of any kind; a broker gives a whole batch, however large. */
const PROBE_BYTES = 64 * 1024

/** One replay of a source in one region. */
class Replay {
  readonly #source: Source
  readonly #terms: ReplayTerms
  readonly #cluster: Cluster
  readonly #guards: readonly Guard[]
  readonly #terminal: Terminal
  readonly #tally = new ReplayTally()
  #saidMs = performance.now()

  constructor(source: Source, terms: ReplayTerms, cluster: Cluster, redis: RedisClient, terminal: Terminal) {
    this.#source = source
    this.#terms = terms
    this.#cluster = cluster
    this.#terminal = terminal
    const { keyPrefix, partitions } = source
    this.#guards = Array.from({ length: partitions }, (_, p) => new Guard(redis, partitionKeys(keyPrefix, p)))
  }

  async run({ yes, json }: Flags): Promise<ExitCode> {
    const { print, complain } = this.#terminal
    const { region, start } = this.#terms
    const plan = planOf(await this.#partitionFacts(), start.kind)
    if ('refused' in plan) {
      for (const line of plan.refused) complain(line)
      return EXIT_CODE.wrong
    }
    if (!yes) {
      print(json ? JSON.stringify(plan, withBigints, 2) : planText(region.name, plan))
      return this.#exitOfPlan(plan)
    }
    const reports = await this.#carryOut(plan)
    const { figures } = this.#tally
    print(json ? JSON.stringify({ reports, figures }, withBigints, 2) : reportText(region.name, reports, figures))
    return figures.unreadable === 0 && reports.every((r) => troubles(r).length === 0) ? EXIT_CODE.fine : EXIT_CODE.wrong
  }

  #exitOfPlan(plan: readonly ReplayRange[]): ExitCode {
    if (plan.every(({ from, to }) => from === to)) return plan.some((r) => r.isCut) ? EXIT_CODE.wrong : EXIT_CODE.fine
    this.#terminal.complain('nothing was done; with --yes it is')
    return EXIT_CODE.pending
  }

  async #partitionFacts(): Promise<PartitionFacts[]> {
    const { topic, partitions } = this.#source
    const ends = await endsOf(this.#cluster, topic)
    if (ends.length !== partitions) throw wrongPartitions(topic, ends.length, partitions)
    const asked = ends.filter(({ partition }) => partition === (this.#terms.partition ?? partition))
    const facts: PartitionFacts[] = []
    const wanted = await this.#wanted(this.#terms.start)
    for (const end of asked.toSorted((a, b) => a.partition - b.partition)) {
      // Before the search: what the workers apply meanwhile is no repair.
      const view = await this.#guards[end.partition]!.view()
      facts.push({ ...end, view, wanted: await wanted(end.partition, end.low, end.end) })
    }
    return facts
  }

  async #wanted(start: Start): Promise<(partition: number, low: bigint, end: bigint) => Promise<bigint>> {
    switch (start.kind) {
      case 'offset':
        return async () => start.offset
      case 'time': {
        const found = await offsetsAt(this.#cluster, this.#source.topic, start.timeMs)
        return async (partition) => found.get(partition)!
      }
      case 'version':
        return (partition, low, end) =>
          offsetOfVersion(low, end, start.position, (from, before) => this.#probe(partition, from, before))
    }
  }

  async #probe(partition: number, from: bigint, before: bigint) {
    for await (const records of streamRange(this.#cluster, this.#source.topic, partition, from, before, PROBE_BYTES)) {
      const found = firstOfStream(records)
      if (found) return found
    }
    return undefined
  }

  /** One partition after the other. */
  async #carryOut(plan: readonly ReplayRange[]): Promise<RangeReport[]> {
    const signal = this.#terminal.interruption()
    this.#tally.begin()
    const reports: RangeReport[] = []
    for (const range of plan) {
      const replayed = signal.aborted ? undefined : await this.#replay(range, signal)
      reports.push({ range, replayed })
    }
    return reports
  }

  #replay(range: ReplayRange, signal: AbortSignal) {
    const cluster = this.#cluster
    const { topic } = this.#source
    return replayPartition(range, {
      read: (partition, from, to) => streamRange(cluster, topic, partition, from, to),
      lowOf: async (p) => (await endsOf(cluster, topic)).find(({ partition }) => partition === p)!.low,
      repairsOf: (records) => repairsOf(records, this.#source, this.#terms.keyspace),
      repair: async (partition, repairs) => {
        const result = await this.#guards[partition]!.replay(repairs, this.#terms.tombstones)
        if (result.code === 'replayed') this.#tally.applied(repairs, result.outcomes)
        return result.code
      },
      passed: (partition, next, records) => this.#passed(partition, next, records, range.to),
      signal,
    })
  }

  #passed(partition: number, next: bigint, records: number, to: bigint): void {
    this.#tally.read(records)
    if (performance.now() - this.#saidMs < PROGRESS_MS) return
    this.#saidMs = performance.now()
    const { records: all, recordsPerSecond } = this.#tally.figures
    this.#terminal.complain(
      `partition ${partition} at offset ${next} of ${to}; ${all} records, ${recordsPerSecond} a second`,
    )
  }
}
