import { readFile } from 'node:fs/promises'
import { type Child, RunFolder, waitUntil } from '@tidemark/local'
import { type Lsn, lsnOf, parseLsn, type Source } from '@tidemark/protocol'
import { type Admin, Kafka, logLevel } from 'kafkajs'
import { PublisherContext } from '../../../services/publisher/src/testing/publisher-context.ts'
import { LogRecorder } from '../evidence/log-recorder.ts'
import { breaches, type Confirmation, type Evidence, type Recorded } from '../evidence/topic-check.ts'
import type { Random } from '../seeded-random.ts'
import { commitsOf } from './crash-commits.ts'
import type { Crash } from './crash-points.ts'
import { logFileIn, startLife } from './crash-process.ts'
import type { Schedule } from './crash-schedule.ts'
import { crashSource, LOAD, SCHEMA } from './crash-source.ts'
import { CrashWriters } from './crash-writers.ts'

/** What one schedule came to. */
export interface Outcome {
  readonly breaches: readonly string[]
  readonly commits: number
  readonly records: number
  /** Events that Kafka holds more than once. */
  readonly duplicates: number
}

/** To a crash, or to the end of the log: on a busy machine, with the opening's waits. */
const LIFE_TIMEOUT_MS = 60_000
const LOOK_MS = 100

/** Plays a schedule on a database, a topic and a slot of its own, and holds what Kafka holds then against the rules. */
export async function play(schedule: Schedule, random: Random): Promise<Outcome> {
  await using scenario = await CrashScenario.open(random)
  for (const crash of schedule) await scenario.crash(crash)
  return outcomeOf(await scenario.drain())
}

function outcomeOf(evidence: Evidence): Outcome {
  const events = evidence.records.filter((record) => record.kind === 'event')
  return {
    breaches: breaches(evidence),
    commits: evidence.commits.length,
    records: evidence.records.length,
    duplicates: events.length - new Set(events.map(({ key, version }) => `${key} ${version}`)).size,
  }
}

class CrashScenario implements AsyncDisposable {
  readonly #context: PublisherContext
  readonly #source: Source
  readonly #folder: RunFolder
  readonly #recorder: LogRecorder
  readonly #writers: CrashWriters
  readonly #admin: Admin
  readonly #resources: AsyncDisposableStack
  readonly #confirmations: Confirmation[] = []

  private constructor(
    parts: { context: PublisherContext; folder: RunFolder; recorder: LogRecorder; writers: CrashWriters; admin: Admin },
    resources: AsyncDisposableStack,
  ) {
    this.#context = parts.context
    this.#source = sourceOf(parts.context)
    this.#folder = parts.folder
    this.#recorder = parts.recorder
    this.#writers = parts.writers
    this.#admin = parts.admin
    this.#resources = resources
  }

  /** The writers write from the start, and while no publisher lives. */
  static async open(random: Random): Promise<CrashScenario> {
    await using resources = new AsyncDisposableStack()
    const context = resources.use(await PublisherContext.open())
    const folder = resources.use(await RunFolder.create())
    await context.sql.query(SCHEMA)
    const recorder = await LogRecorder.start(context.sql, `${context.name}_history`, ['item', 'entry'])
    const kafka = new Kafka({ clientId: 'test', brokers: [...context.brokers], logLevel: logLevel.NOTHING })
    const admin = resources.adopt(kafka.admin(), (a) => a.disconnect())
    await admin.connect()
    const { topic } = sourceOf(context)
    resources.defer(() => admin.deleteTopics({ topics: [topic] }).catch(() => undefined))
    const writers = resources.use(new CrashWriters(context.url, random))
    return new CrashScenario({ context, folder, recorder, writers, admin }, resources.move())
  }

  /** A life that ends at the crash point. */
  async crash(crash: Crash): Promise<void> {
    await using life = await this.#startLife(crash)
    if (crash.point === 'between two sends') await this.#load(life)
    await this.#until(life, `the publisher is killed ${crash.point}, time ${crash.hit}`, () => !life.isRunning)
    const { signal } = await life.exited
    if (signal !== 'SIGKILL')
      throw new Error(`the publisher ended otherwise than ${crash.point}\n${await life.logTail()}`)
    await this.#until(life, 'the server has noticed', () => this.#slotIsFree())
  }

  /** Before it streams, an epoch might begin after the load, which then needs no sends. */
  async #load(life: Child): Promise<void> {
    await this.#until(life, 'it streams', () => this.#isStreamed())
    await this.#context.sql.query(LOAD)
  }

  /** A last life, until everything that was committed is in Kafka and confirmed. */
  async drain(): Promise<Evidence> {
    const before = await this.#confirm()
    await using life = await this.#startLife()
    await this.#until(life, 'it works again', async () => ((await this.#confirm()) ?? 0n) > (before ?? 0n))
    await this.#writers.stop()
    const end = parseLsn(await this.#context.value<string>('select pg_current_wal_insert_lsn()::text'))
    await this.#until(life, 'everything is confirmed', async () => ((await this.#confirm()) ?? 0n) >= end)
    await this.#context.follow(this.#source)
    await this.#until(life, 'everything is read', () => this.#isRead(end))
    await life.stop()
    return this.#evidence()
  }

  #startLife(crash?: Crash): Promise<Child> {
    const { name } = this.#source
    const { url: primaryUrl, brokers } = this.#context
    return startLife({ name, primaryUrl, brokers, folder: this.#folder.path }, crash)
  }

  /** Waits, and looks all the while at what is confirmed. */
  async #until(life: Child, what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    const look = async () => {
      await this.#confirm()
      return condition()
    }
    try {
      await waitUntil(what, look, { timeoutMs: LIFE_TIMEOUT_MS, everyMs: LOOK_MS })
    } catch (error) {
      throw new Error(`${what}: not so\n${await life.logTail()}`, { cause: error })
    }
  }

  /** The slot's position, put down with where the topic ended afterwards; undefined before there is a slot. */
  async #confirm(): Promise<Lsn | undefined> {
    const text = await this.#context.value<string | null | undefined>(
      'select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1',
      [this.#source.slot],
    )
    if (!text) return undefined
    const confirmed = parseLsn(text)
    const ends: bigint[] = []
    for (const { partition, high } of await this.#admin.fetchTopicOffsets(this.#source.topic)) {
      ends[partition] = BigInt(high)
    }
    this.#confirmations.push({ confirmed, ends })
    return confirmed
  }

  async #slotIsFree(): Promise<boolean> {
    const active = 'select count(*)::int from pg_replication_slots where slot_name = $1 and active'
    return (await this.#context.value<number>(active, [this.#source.slot])) === 0
  }

  /** While a slot is made it is active, too. */
  #isStreamed(): Promise<boolean> {
    return this.#context.value<boolean>(
      `select exists (select from pg_replication_slots s join pg_stat_replication r on r.pid = s.active_pid
                       where s.slot_name = $1)`,
      [this.#source.slot],
    )
  }

  #isRead(end: Lsn): boolean {
    const reached = this.#context.records.filter((r) => r.kind === 'watermark' && lsnOf(r.position) >= end)
    return new Set(reached.map(({ partition }) => partition)).size === this.#source.partitions
  }

  async #evidence(): Promise<Evidence> {
    const { rows } = await this.#context.sql.query<{ epoch: number; start: string }>(
      'select epoch, start_lsn::text as start from tidemark.epoch where start_lsn is not null order by epoch',
    )
    return {
      reasons: await this.#reasons(),
      partitions: this.#source.partitions,
      epochs: rows.map(({ epoch, start }) => ({ number: epoch, start: parseLsn(start) })),
      commits: await commitsOf(this.#recorder.finish()),
      records: this.#context.records as readonly Recorded[],
      confirmations: this.#confirmations,
    }
  }

  /** As logged in whatever life. */
  async #reasons(): Promise<string[]> {
    const log = await readFile(logFileIn(this.#folder.path), 'utf8')
    return [...log.matchAll(/"reason":"([^"]*)"/g)].map(([, reason]) => reason!)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function sourceOf({ name }: PublisherContext): Source {
  return crashSource(name.replaceAll('_', '-'))
}
