import { describe, expect, test } from '@jest/globals'
import { explore } from './exploration.ts'
import { MUTANTS, type MutantName } from './mutants.ts'
import { BRIEF } from './scopes.ts'

// The smallest worlds; `npm run model` explores all.

describe('I1 to I7 hold in every state of', () => {
  test.each(['update', 'session'] as const)('the world of %s', (scope) => {
    const { breach, trace, states } = explore(BRIEF[scope])
    expect({ breach, trace }).toEqual({ breach: null, trace: [] })
    expect(states).toBeGreaterThan(10_000) // a world in which nothing can happen would hold, too
  })
})

describe('the protocol does not hold where', () => {
  test.each(Object.entries(MUTANTS))('%s', (name, { scope, breaks }) => {
    const { breach, trace } = explore(BRIEF[scope], name as MutantName)
    expect(breach?.invariant).toBe(breaks)
    expect(trace.length).toBeGreaterThan(0)
  })
})
