import type { Fault, Rules } from './rules.ts'
import type { Server, State } from './state.ts'

/** What can matter no more, made the same everywhere: with no fault to come, nobody goes back in a log. */
export function normal(s: State, rules: Rules): State {
  const mayFill = s.filled < rules.scope.fills || s.fills.some((fill) => fill !== null)
  const may = (...faults: readonly Fault[]) => faults.some((fault) => rules.may(fault, s.faults))
  const isReplicaOver = !mayFill && !s.abandoned && !may('promotion')
  const keepsRecords = may('zombie', 'Redis fails over', 'retention')
  return {
    ...s,
    handed: null,
    replica: isReplicaOver ? NO_REPLICA : s.replica,
    publisher: may('publisher crashes') ? s.publisher : { ...s.publisher, confirmed: s.publisher.next },
    copy: may('Redis fails over') ? s.copy : null,
    ...(keepsRecords ? {} : consumed(s)),
  }
}

const NO_REPLICA: Server = { timeline: 1, log: [], visible: 0, says: 0 }

function consumed(s: State): Pick<State, 'topics' | 'redis'> {
  const rebased = s.topics.map((topic, p) => {
    const partition = s.redis[p]!
    const { view } = partition
    if (!view) return { topic, partition }
    // Before the first record that is left: a gap, wherever that is.
    const isGone = view.next < topic.base
    const records = isGone ? topic.records : topic.records.slice(view.next - topic.base)
    const [base, next] = [isGone ? 1 : 0, 0]
    return { topic: { ...topic, base, records }, partition: { ...partition, view: { ...view, next } } }
  })
  return {
    topics: rebased.map(({ topic }) => topic) as unknown as State['topics'],
    redis: rebased.map(({ partition }) => partition) as unknown as State['redis'],
  }
}
