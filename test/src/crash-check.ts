import { epochOf, type Lsn, lsnOf, partitionOf, type TidemarkRecord } from '@tidemark/protocol'
import type { Commit } from './crash-history.ts'

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
  /** The epochs that the database recorded. A kill costs none: there is one. */
  readonly epochs: readonly { readonly number: number; readonly start: Lsn }[]
  /** In commit order. */
  readonly commits: readonly Commit[]
  /** In the order of each partition. */
  readonly records: readonly Recorded[]
  readonly confirmations: readonly Confirmation[]
}

/** Every breach of a rule, in words, the rule first; none when the evidence is lawful (I4, I6). */
export function breaches(evidence: Evidence): string[] {
  const { epochs, partitions } = evidence
  const [epoch, ...more] = epochs
  if (!epoch || more.length > 0) return [`one epoch: the database recorded ${epochs.map((e) => e.number).join(', ')}`]
  const lines = Array.from({ length: partitions }, (_, partition) => lineOf(evidence, partition))
  return [
    ...lines.flatMap((line) => [
      ...ofOtherEpochs(line, epoch.number),
      ...phantoms(line, evidence.commits),
      ...missing(line),
      ...late(line),
      ...lives(line).flatMap((life) => [...unannounced(life), ...outOfOrder(life), ...late(life)]),
    ]),
    ...confirmedTooEarly(evidence, lines, epoch.start),
  ]
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

/** The commit that a record speaks of, or for a cut, where it lies. */
function lsnIn(record: Recorded): Lsn {
  if (record.kind === 'event') return lsnOf(record.version)
  return record.kind === 'floor' ? lsnOf(record.position) - 1n : lsnOf(record.position)
}

function ofOtherEpochs({ partition, records }: Line, epoch: number): string[] {
  return records
    .map((r) => epochOf(r.kind === 'event' ? r.version : r.position))
    .filter((number) => number !== epoch)
    .map((number) => `one epoch: partition ${partition} holds a record of epoch ${number}`)
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

/**
 * The lives that a partition has seen. Each begins with the epoch's announcement, and owes everything from the first
 * commit that it speaks of: what it repeats after a crash is an end of the log, without holes.
 */
function lives({ partition, records, debts }: Line): Line[] {
  const starts = records.flatMap((record, at) => (record.kind === 'epoch' || at === 0 ? [at] : []))
  return starts.map((start, i) => {
    const own = records.slice(start, starts[i + 1])
    const first = own.find((r) => r.kind !== 'epoch')
    return { partition, records: own, debts: first ? debts.filter((debt) => debt.lsn >= lsnIn(first)) : [] }
  })
}

function unannounced({ partition, records }: Line): string[] {
  return records[0]?.kind === 'epoch' ? [] : [`unannounced: partition ${partition} does not begin with an epoch`]
}

/** Within a life everything is in commit order, and no event comes after a watermark that covers it (I6). */
function outOfOrder({ partition, records }: Line): string[] {
  const found: string[] = []
  let last = records[0]
  for (const record of records.slice(1)) {
    if (lsnIn(record) < lsnIn(last!)) {
      found.push(`order: partition ${partition}: ${describe(record)} of ${lsnIn(record)} after ${lsnIn(last!)}`)
    }
    last = record
  }
  return found
}

/** What Postgres may forget lies below a watermark that every partition held at the time. */
function confirmedTooEarly({ confirmations }: Evidence, lines: readonly Line[], start: Lsn): string[] {
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
