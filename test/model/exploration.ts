import { type Breach, ofState, ofStep } from './claims.ts'
import type { MutantName } from './mutants.ts'
import { normal } from './normal-form.ts'
import { postgresSteps } from './postgres.ts'
import { publisherSteps } from './publisher.ts'
import { refillSteps } from './refill.ts'
import { regionSteps } from './region.ts'
import { Rules, type Scope, type Steps } from './rules.ts'
import { type Partition, position, type Server, type State, type Topic } from './state.ts'
import { StateSet } from './state-set.ts'

export interface Explored {
  readonly states: number
  /** Steps from the beginning to the furthest state. */
  readonly deepest: number
  readonly breach: Breach | null
  /** The shortest way to the breach, in words. */
  readonly trace: readonly string[]
}

function beginning(scope: Scope): State {
  const server: Server = { timeline: 1, log: [], visible: 0, says: 0 }
  const start = position(1, 0)
  const topic: Topic = { base: 0, records: [], sent: 0, floor: 0, told: 0 }
  const view = {
    epoch: 1,
    watermark: start,
    newest: 0,
    floor: 0,
    horizon: 0,
    tombstone: 0,
    gap: false,
    next: 0,
    beat: 0,
  }
  const partition: Partition = { view, cell: null, lease: null, applied: 0, losses: 0 }
  return {
    primary: server,
    replica: server,
    abandoned: null,
    abandonedEpoch: 0,
    shared: 0,
    acknowledged: 0,
    publisher: { epoch: 1, recorded: 1, next: 0, confirmed: 0, told: start, beat: 0, phase: 'streaming' },
    topics: [topic, topic],
    redis: [partition, partition],
    copy: null,
    fills: Array.from({ length: scope.apps }, () => null),
    filled: 0,
    handed: null,
    session: { own: 0, seen: 0, wrote: 0, saw: 0 },
    commits: 0,
    faults: scope.faults,
  }
}

function* steps(s: State, rules: Rules): Steps<State> {
  yield* postgresSteps(s, rules)
  yield* publisherSteps(s, rules)
  yield* regionSteps(s, rules)
  yield* refillSteps(s, rules)
}

/** Every state that can be reached, nearest first, until a claim does not hold. */
export function explore(scope: Scope, broken: MutantName | null = null): Explored {
  const rules = new Rules(scope, broken)
  const seen = new StateSet()
  // By state: the one it came from, and which of its steps that was.
  const [parents, taken]: [number[], number[]] = [[-1], [0]]
  // What the last round found. Of all before it the set holds no more than that they were.
  let frontier: { state: State; place: number }[] = [{ state: beginning(scope), place: 0 }]
  seen.add(frontier[0]!.state)
  let deepest = 0
  for (; frontier.length > 0; deepest++) {
    const next: typeof frontier = []
    for (const { state, place } of frontier) {
      let step = -1
      for (const [, reached] of steps(state, rules)) {
        step++
        const then = normal(reached, rules)
        let [breach] = ofStep(state, reached, rules)
        if (!seen.add(then) && !breach) continue
        parents.push(place)
        taken.push(step)
        breach ??= ofState(then, rules).next().value ?? undefined
        if (breach) return { states: seen.size, deepest, breach, trace: traced(scope, rules, parents, taken) }
        next.push({ state: then, place: parents.length - 1 })
      }
    }
    frontier = next
  }
  return { states: seen.size, deepest, breach: null, trace: [] }
}

function traced(scope: Scope, rules: Rules, parents: readonly number[], taken: readonly number[]): string[] {
  const way: number[] = []
  for (let place = parents.length - 1; place > 0; place = parents[place]!) way.unshift(taken[place]!)
  let state = beginning(scope)
  return way.map((step) => {
    const [happens, then] = [...steps(state, rules)][step]!
    state = normal(then, rules)
    return happens
  })
}
