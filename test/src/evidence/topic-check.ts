import { epochOf, type Lsn, lsnOf, partitionOf, type TidemarkRecord } from '@tidemark/protocol'

/** What one committed transaction owes to Kafka. */
export interface Commit {
  readonly lsn: Lsn
  /** Key → its keyspace. */
  readonly keys: ReadonlyMap<string, string>
  /** Keyspaces that it makes stale as a whole, whose keys it does not name. */
  readonly floors: ReadonlySet<string>
}

/** A record as it lies in its partition. */
export type Recorded = TidemarkRecord & { readonly partition: number; readonly offset: bigint }

/** What the slot had confirmed, and where the partitions ended *after* that was read. */
export interface Confirmation {
  readonly confirmed: Lsn
  readonly ends: readonly bigint[]
}

/** All that is known at the end of a schedule, to be held against the protocol. */
export interface Evidence {
  readonly partitions: number
  /** The epochs that were opened: whose start the database recorded. A kill costs none after that: there is one. */
  readonly epochs: readonly { readonly number: number; readonly start: Lsn }[]
  /** Why the publisher opened an epoch, each time. */
  readonly reasons?: readonly string[]
  /** In commit order. */
  readonly commits: readonly Commit[]
  /** In the order of each partition. */
  readonly records: readonly Recorded[]
  readonly confirmations: readonly Confirmation[]
}

/** Every breach of a rule, in words, the rule first; none when the evidence is lawful (I4, I6). */
export function breaches(evidence: Evidence): string[] {
  const { partitions } = evidence
  const lines = Array.from({ length: partitions }, (_, partition) => lineOf(evidence, partition))
  return [
    ...otherEpochs(evidence),
    ...lines.flatMap((line) => [
      ...phantoms(line, evidence.commits),
      ...missing(line),
      ...late(line),
      ...lives(line).flatMap((life) => [...unannounced(life), ...outOfOrder(life), ...late(life)]),
    ]),
    ...confirmedTooEarly(evidence, lines),
  ]
}

/** What is not shown to continue is refilled as a whole: lawful, and too dear for a kill. */
function otherEpochs({ epochs, records, reasons = [] }: Evidence): string[] {
  const [opened, ...more] = epochs.map(({ number }) => number)
  const published = [...new Set(records.filter(({ kind }) => kind !== 'claim').map(epochIn))]
  if (opened !== undefined && more.length === 0 && published.every((number) => number === opened)) return []
  return [`one epoch: opened ${[opened, ...more]}, published ${published}: ${reasons.join('; ')}`]
}

function epochIn(record: Recorded): number {
  return epochOf(record.kind === 'event' ? record.version : record.position)
}

/** What a commit owes to one partition: an event of a key, or a floor of a keyspace. */
interface Debt {
  readonly lsn: Lsn
  readonly keyspace: string
  /** Null for a floor. */
  readonly key: string | null
}

/** One partition, or one publisher's life in it: what it holds, and what it had to hold, in commit order. */
interface Line {
  readonly partition: number
  readonly records: readonly Recorded[]
  readonly debts: readonly Debt[]
}

function lineOf({ commits, records, partitions }: Evidence, partition: number): Line {
  const debts = commits.flatMap(({ lsn, keys, floors }): Debt[] => [
    ...[...keys].flatMap(([key, keyspace]) =>
      partitionOf(key, partitions) === partition ? [{ lsn, keyspace, key }] : [],
    ),
    ...[...floors].map((keyspace) => ({ lsn, keyspace, key: null })),
  ])
  return { partition, records: records.filter((r) => r.partition === partition), debts }
}

/** The commit that a record speaks of, or for a cut, where it lies. One server's numbering goes on across epochs. */
function lsnIn(record: Recorded): Lsn {
  if (record.kind === 'event') return lsnOf(record.version)
  return record.kind === 'floor' ? lsnOf(record.position) - 1n : lsnOf(record.position)
}

/** Nothing was published that no commit owed to this partition: not what was rolled back, nor under another version. */
function phantoms({ partition, records, debts }: Line, commits: readonly Commit[]): string[] {
  const owed = new Set(debts.map(({ lsn, keyspace, key }) => `${lsn} ${keyspace} ${key}`))
  return records.flatMap((record) => {
    if (record.kind !== 'event' && record.kind !== 'floor') return []
    if (owed.has(`${lsnIn(record)} ${record.keyspace} ${keyOf(record)}`)) return []
    const known = commits.some((c) => c.lsn === lsnIn(record)) ? 'which owed none' : 'which is no commit'
    return [`phantom: partition ${partition}: ${describe(record)} of ${lsnIn(record)}, ${known}`]
  })
}

/** Where in the line each debt is paid first; -1 where it is not. */
function payments({ records, debts }: Line): number[] {
  const places = [...records.keys()]
  const named = Map.groupBy(places, (at) => keyOf(records[at]!))
  const floors = places.filter((at) => records[at]!.kind === 'floor' || records[at]!.kind === 'epoch')
  return debts.map((debt) => {
    const byEvent = (debt.key === null ? undefined : named.get(debt.key))?.find((at) => pays(records[at]!, debt)) ?? -1
    const byFloor = floors.find((at) => pays(records[at]!, debt)) ?? -1
    return byEvent < 0 || (byFloor >= 0 && byFloor < byEvent) ? byFloor : byEvent
  })
}

function keyOf(record: Recorded): string | null {
  return record.kind === 'event' ? record.key : null
}

/**
 * A later event of the same key, or a later floor of the same keyspace, pays too: nothing that the earlier one
 * makes stale is left fresh by it. That it was not too late is the watermark's rule.
 */
function pays(record: Recorded, { lsn, keyspace, key }: Debt): boolean {
  switch (record.kind) {
    case 'event':
      return record.key === key && record.keyspace === keyspace && lsnIn(record) >= lsn
    case 'floor':
      return record.keyspace === keyspace && lsnIn(record) >= lsn
    case 'epoch':
      return lsnOf(record.position) > lsn
    default:
      return false
  }
}

/** Every commit has reached Kafka (I4). */
function missing(line: Line): string[] {
  return payments(line).flatMap((at, i) =>
    at < 0 ? [`missing: partition ${line.partition}: ${nameOf(line.debts[i]!)}`] : [],
  )
}

/** A watermark comes after every event that it covers (I4). Holds for a partition, and for each life in it alone. */
function late(line: Line): string[] {
  const { records, debts, partition } = line
  const paid = payments(line)
  const found: string[] = []
  let next = 0
  for (const [at, record] of records.entries()) {
    if (record.kind !== 'watermark') continue
    for (; next < debts.length && debts[next]!.lsn < lsnIn(record); next++) {
      if (paid[next]! >= 0 && paid[next]! < at) continue
      found.push(`late: partition ${partition}: the watermark at ${record.offset} is ahead of ${nameOf(debts[next]!)}`)
    }
  }
  return found
}

/** What a publisher writes before it publishes: that the partition is its own, and the epoch. */
function isHeading({ kind }: Recorded): boolean {
  return kind === 'claim' || kind === 'epoch'
}

/**
 * The lives that a partition has seen, each with its heading. It owes everything from the first commit that it speaks
 * of: what it repeats after a crash is an end of the log, without holes. A life that was killed within its heading
 * goes with the next one.
 */
function lives({ partition, records, debts }: Line): Line[] {
  const starts = records.flatMap((record, at) => {
    const before = records[at - 1]
    return !before || (isHeading(record) && !isHeading(before)) ? [at] : []
  })
  return starts.map((start, i) => {
    const own = records.slice(start, starts[i + 1])
    const first = own.find((record) => !isHeading(record))
    return { partition, records: own, debts: first ? debts.filter((debt) => debt.lsn >= lsnIn(first)) : [] }
  })
}

/** Whoever publishes has taken the partition, and announced the epoch right before. */
function unannounced({ partition, records }: Line): string[] {
  const first = records.findIndex((record) => !isHeading(record))
  if (first < 0) return []
  const [claim, epoch] = records.slice(Math.max(0, first - 2), first)
  if (claim?.kind === 'claim' && epoch?.kind === 'epoch') return []
  return [`unannounced: partition ${partition}: ${describe(records[first]!)} at ${records[first]!.offset}`]
}

/** Within a life everything is in commit order, and no event comes after a watermark that covers it (I6). */
function outOfOrder({ partition, records }: Line): string[] {
  const ordered = records.filter(({ kind }) => kind !== 'claim')
  return ordered.flatMap((record, at) => {
    const last = ordered[at - 1]
    if (!last || lsnIn(record) >= lsnIn(last)) return []
    return [`order: partition ${partition}: ${describe(record)} of ${lsnIn(record)} after ${lsnIn(last)}`]
  })
}

/** What Postgres may forget lies below a watermark that every partition held at the time. */
function confirmedTooEarly({ confirmations, epochs }: Evidence, lines: readonly Line[]): string[] {
  const start = epochs.at(-1)?.start ?? 0n
  return confirmations.flatMap(({ confirmed, ends }) => {
    if (confirmed <= start) return []
    return lines.flatMap(({ partition, records }) => {
      const held = records.some(
        (r) => r.kind === 'watermark' && lsnIn(r) >= confirmed && r.offset < (ends[partition] ?? 0n),
      )
      return held ? [] : [`confirmed: ${confirmed} before partition ${partition} held a watermark as far`]
    })
  })
}

function nameOf({ lsn, keyspace, key }: Debt): string {
  return `${key ?? `the floor of ${keyspace}`} at ${lsn}`
}

function describe(record: Recorded): string {
  return record.kind === 'event' ? `event ${record.key}` : record.kind
}
