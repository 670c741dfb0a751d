import { describe, expect, test } from '@jest/globals'
import { broken, type Mutant, type Rule } from './rule.ts'
import { allAreSeen, chosenOf, type Ground, needServers } from './trials.ts'
import type { Verdict } from './verdict.ts'

const mutantOf = (name: string, tests = ['refill:a.test.ts'], named?: string): Mutant => ({
  ...{ name, file: 'refill:a.ts', find: 'a <= b', replace: 'a < b', tests },
  ...(named && { named }),
})
const RULES: readonly Rule[] = [
  { section: '6.1', rule: 'a hit is fresh', mutants: [mutantOf('gap ignored'), mutantOf('floor ignored')] },
  {
    section: '6.2',
    rule: 'one holder',
    mutants: [mutantOf('two holders', ['guard:b.server.test.ts'], 'one at a time')],
  },
]

/** Gives these verdicts one after the other, and then always the last. */
class ScriptedGround implements Ground {
  readonly ran: unknown[] = []
  readonly #whole: Verdict
  readonly #verdicts: Verdict[]

  constructor(verdicts: Verdict[], whole: Verdict = { code: 'survived' }) {
    this.#verdicts = verdicts
    this.#whole = whole
  }

  async try({ name }: Mutant): Promise<Verdict> {
    this.ran.push(name)
    return this.#verdicts.length > 1 ? this.#verdicts.shift()! : this.#verdicts[0]!
  }

  async test(files: readonly string[], named?: string): Promise<Verdict> {
    this.ran.push([...files, named])
    return this.#whole
  }
}

const RED: Verdict = { code: 'red', file: 'a.test.ts', test: 'it breaks' }

async function tried(ground: ScriptedGround, text?: string) {
  const told: string[] = []
  const isSeen = await allAreSeen(chosenOf(RULES, text), ground, (line) => void told.push(line))
  return { isSeen, told }
}

describe('the trials', () => {
  test('run the tests with no rule broken, and then with each, and tell which test saw it', async () => {
    const ground = new ScriptedGround([RED])
    const { isSeen, told } = await tried(ground)
    expect(isSeen).toBe(true)
    expect(ground.ran).toEqual([
      ['refill:a.test.ts', undefined],
      ['guard:b.server.test.ts', 'one at a time'],
      ...['gap ignored', 'floor ignored', 'two holders'],
    ])
    expect(told[0]).toBe('| 6.1 a hit is fresh | gap ignored | a.test.ts: it breaks |')
    expect(told.at(-1)).toBe('3 of 3 mutants were seen')
  })

  test.each<[string, Verdict]>([
    ['survives', { code: 'survived' }],
    ['shows nothing', { code: 'void', why: 'no test was run' }],
  ])('fail where a mutant %s, and go on to the others', async (_, verdict) => {
    const { isSeen, told } = await tried(new ScriptedGround([verdict, RED]))
    expect(isSeen).toBe(false)
    expect(told.at(-1)).toBe('2 of 3 mutants were seen')
  })

  test.each<[string, Verdict]>([
    ['fails', RED],
    ['cannot be run', { code: 'void', why: 'no report was written' }],
  ])('fail where a test %s with no rule broken, and break none', async (_, whole) => {
    const ground = new ScriptedGround([RED], whole)
    expect((await tried(ground)).isSeen).toBe(false)
    expect(ground.ran).toHaveLength(1)
  })

  test('are of those that are named, by section, rule or mutant; of none they fail', async () => {
    expect(chosenOf(RULES, '6.1').map(({ mutant }) => mutant.name)).toEqual(['gap ignored', 'floor ignored'])
    expect(chosenOf(RULES, 'one holder')).toHaveLength(1)
    expect(chosenOf(RULES, 'floor ignored')).toHaveLength(1)
    expect((await tried(new ScriptedGround([RED]), 'no such rule')).isSeen).toBe(false)
  })

  test('need servers where a test does', () => {
    expect([chosenOf(RULES, '6.1'), chosenOf(RULES, '6.2')].map(needServers)).toEqual([false, true])
  })
})

test('a rule is broken where it stands exactly once, and nowhere else', () => {
  const mutant = mutantOf('any')
  expect(broken('if (a <= b) return', mutant)).toBe('if (a < b) return')
  for (const text of ['', 'a <= b, a <= b']) expect(() => broken(text, mutant)).toThrow('any')
})
