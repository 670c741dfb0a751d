import { named } from './postgres.ts'
import { end } from './publisher.ts'
import type { Rules, Steps } from './rules.ts'
import { type Cell, epochOf, KEYS, type Key, type Partition, type State, type Stored, type View } from './state.ts'

/** The worker applies, and Redis loses. */
export function* regionSteps(s: State, rules: Rules): Steps<State> {
  for (const key of KEYS) {
    yield* workerSteps(s, key, rules)
    yield* lossSteps(s, key, rules)
  }
  if (!s.copy && rules.may('Redis fails over', s.faults))
    yield ['a replica of Redis has all until here', { ...s, copy: s.redis }]
}

function* workerSteps(s: State, key: Key, rules: Rules): Steps<State> {
  const [topic, partition] = [s.topics[key], s.redis[key]]
  const { view } = partition
  if (!view || view.next < topic.base) {
    yield [
      `the worker declares a gap in the partition of ${named(1 << key)}`,
      withPartition(s, key, gap(partition, end(topic), rules)),
    ]
    return
  }
  // A batch is one step: of one record, or of several.
  let now = partition
  for (const record of topic.records.slice(view.next - topic.base)) {
    now = applied(now, record, now.view!, now.view!.next + 1, rules)
    yield [
      `the worker applies all to ${inWords(record)} in the partition of ${named(1 << key)}`,
      withPartition(s, key, now),
    ]
  }
  if (!rules.may('zombie', s.faults)) return
  for (const [i, old] of topic.records.entries()) {
    const offset = topic.base + i
    const isHole = offset > view.next
    if (offset === view.next || (isHole && !rules.broken('a hole is jumped'))) continue
    const then = applied(partition, old, view, isHole ? offset + 1 : view.next, rules)
    yield [
      `another worker applies ${inWords(old)} (offset ${offset}) to the partition of ${named(1 << key)}`,
      { ...withPartition(s, key, then), faults: s.faults - 1 },
    ]
  }
}

/** Cells, tombstone, watermark and offset change together. */
export function applied(partition: Partition, record: Stored, view: View, next: number, rules: Rules): Partition {
  if (epochOf(record.at) < view.epoch) {
    return { ...partition, view: { ...view, next } }
  }
  switch (record.type) {
    case 'event':
      return invalidated(partition, record, { ...view, next }, rules)
    case 'watermark': {
      const { gap } = view
      const watermark = rules.broken('a watermark is set, not raised') ? record.at : Math.max(view.watermark, record.at)
      const known = {
        ...view,
        next,
        watermark,
        beat: view.beat | record.beat,
        gap: false,
        epoch: Math.max(view.epoch, epochOf(record.at)),
      }
      return {
        ...partition,
        view: gap ? { ...known, horizon: record.at, floor: Math.max(view.floor, record.at) } : known,
      }
    }
    case 'floor': {
      const raised = Math.max(view.floor, record.at)
      return { ...partition, view: { ...view, next, floor: raised, epoch: Math.max(view.epoch, epochOf(record.at)) } }
    }
  }
}

function invalidated(
  { cell, lease, applied, losses }: Partition,
  record: Stored & { type: 'event' },
  noticed: View,
  rules: Rules,
): Partition {
  const { at: version } = record
  const view = notice(noticed, rules)
  const forgets = rules.broken('no tombstone for an absent key') && cell === null
  const covers = (c: Cell) =>
    rules.broken('a label that ends at the version is kept') ? c.low >= version : c.low > version
  const kept = cell && !covers(cell) ? replaced(cell, record, rules) : cell
  const required = rules.broken('a lease is not told') ? 0 : version + 1
  return {
    cell: kept,
    lease: lease && { ...lease, required: Math.max(lease.required, required) },
    applied: applied | (1 << record.id),
    losses,
    view: {
      ...view,
      tombstone: forgets ? view.tombstone : Math.max(view.tombstone, version),
      newest: Math.max(view.newest, version),
      watermark: Math.max(view.watermark, version),
    },
  }
}

function replaced(cell: Cell, { at, row }: Stored & { type: 'event' }, rules: Rules): Cell | null {
  if (rules.scope.reaction === 'update' && cell.high <= at)
    return { low: at + 1, high: at + 1, value: row, loadedAt: 0 }
  return rules.broken('what was invalidated stays live') ? cell : null
}

/** Trusts nothing, and starts at the partition's end: until the first watermark from there nothing is fresh. */
function gap({ cell, lease, losses }: Partition, next: number, rules: Rules): Partition {
  const isSilent = rules.broken('a gap is a silent reset')
  const view = { epoch: 0, watermark: 0, newest: 0, floor: 0, horizon: 0, tombstone: 0, gap: !isSilent, next, beat: 0 }
  return { cell, lease, applied: 0, losses: losses + 1, view }
}

/** A generation that the view names and that is gone: whatever needs it notices. */
export function notice(view: View, rules: Rules): View {
  if (view.tombstone >= 0) return view
  const horizon = rules.broken('a lost generation leaves the horizon')
    ? view.horizon
    : Math.max(view.horizon, view.newest + (rules.broken('the horizon ends at the newest') ? 0 : 1))
  return { ...view, tombstone: 0, horizon }
}

function* lossSteps(s: State, key: Key, rules: Rules): Steps<State> {
  const partition = s.redis[key]
  const { view, cell } = partition
  const lose = (then: Partition) => ({ ...withPartition(s, key, then), faults: s.faults - 1 })
  const of = `of ${named(1 << key)}`
  if (s.copy && rules.may('Redis fails over', s.faults)) {
    const view = rules.broken('a watermark outlives its Redis') ? partition.view : s.copy[key].view
    yield [
      `the slot ${of} fails over to what the replica has`,
      { ...lose({ ...s.copy[key], view, losses: partition.losses + 1 }), copy: null },
    ]
  }
  if (rules.may('Redis evicts', s.faults) && view) {
    yield [`Redis evicts the view ${of}`, lose({ ...partition, view: null })]
    if (cell) yield [`Redis evicts the cell ${of}`, lose({ ...partition, cell: null, lease: null })]
    if (view.tombstone > 0) {
      yield [`Redis evicts the tombstones ${of}`, lose({ ...partition, view: { ...view, tombstone: -1 } })]
    }
  }
  if (view && view.tombstone > 0 && rules.may('tombstones dropped', s.faults)) {
    const horizon = rules.broken('a dropped generation leaves the horizon')
      ? view.horizon
      : Math.max(view.horizon, view.tombstone + 1)
    yield [
      `the worker drops a generation of tombstones ${of}`,
      lose({ ...partition, view: { ...view, tombstone: 0, horizon } }),
    ]
  }
  if (rules.may('retention', s.faults)) {
    const topic = s.topics[key]
    if (topic.records.length > 0) {
      const topics = s.topics.map((t, p) =>
        p === key ? { ...t, base: end(t), records: [] } : t,
      ) as unknown as State['topics']
      yield [`Kafka drops the records ${of}`, { ...s, topics, faults: s.faults - 1 }]
    }
  }
}

export function withPartition(s: State, key: Key, partition: Partition): State {
  const redis = s.redis.map((one, p) => (p === key ? partition : one)) as unknown as State['redis']
  return { ...s, redis }
}

function inWords(record: Stored): string {
  return `the ${record.type} at ${record.at}`
}
