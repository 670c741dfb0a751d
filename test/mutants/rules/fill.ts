import type { Rule } from '../rule.ts'

const LUA = 'guard:commands/fill-6.lua'
const FILLED = ['guard:fill.server.test.ts']
const STALE = "if low < position then return refuse('STALE', position) end"

/** 6.4 */
export const FILL: readonly Rule[] = [
  {
    section: '6.4',
    rule: 'a value is stored only under a lease that is still ours',
    mutants: [
      {
        name: 'lease not checked at the fill',
        file: LUA,
        find: "if not cell or cell.lease ~= ARGV[3] then return { 'LEASE_LOST' } end",
        replace: "cell = cell or { state = '-' }",
        tests: FILLED,
      },
      {
        name: 'any lease will do at the fill',
        file: LUA,
        find: 'cell.lease ~= ARGV[3]',
        replace: 'not cell.lease',
        tests: FILLED,
      },
    ],
  },
  {
    section: '6.4',
    rule: 'L covers what is required by now',
    mutants: [
      { name: 'required not asked at the fill', file: LUA, find: STALE, replace: '', tests: FILLED },
      {
        name: 'what was required at the lease is enough behind a reader',
        file: LUA,
        find: STALE,
        replace: '',
        tests: ['refill:read/early-refresh.server.test.ts'],
        named: 'I2 what is loaded behind a reader',
      },
      {
        name: 'required compared by <=',
        file: LUA,
        find: 'if low < position then',
        replace: 'if low <= position then',
        tests: FILLED,
      },
      {
        name: 'evicted tombstones go unnoticed at the fill',
        file: LUA,
        find: 'if notice_evicted(view) then save_view(view) end',
        replace: '',
        tests: ['guard:tombstones.server.test.ts'],
      },
      {
        name: 'a fill in a gap',
        file: LUA,
        find: "if view.gap then return refuse('GAP') end",
        replace: '',
        tests: FILLED,
      },
      {
        name: 'an older value takes a newer one’s place',
        file: LUA,
        find: "if cell.state == 'L' and low < cell.low then return refuse('OLDER') end",
        replace: '',
        tests: FILLED,
      },
    ],
  },
  {
    section: '6.4',
    rule: 'otherwise the value is the caller’s, nothing is cached, and the lease is over',
    mutants: [
      {
        name: 'a refused fill keeps its lease',
        file: LUA,
        find: 'cell.lease = nil\n\nlocal function',
        replace: '\n\nlocal function',
        tests: FILLED,
      },
      {
        name: 'an unlabelled load is stored',
        file: 'refill:read/refill.ts',
        find: 'if (label === null || why !== null) {',
        replace: `label ??= { low: one.answer.granted, high: one.answer.granted }
    if (why !== null) {`,
        tests: ['refill:read/cache.server.test.ts'],
        named: 'a server that was promoted and not announced',
      },
      {
        name: 'what is not worth caching keeps its lease',
        file: 'refill:read/refill.ts',
        find: 'if (label === null || why !== null) {\n      await this.release(one)',
        replace: 'if (label === null || why !== null) {',
        tests: ['refill:read/contract.server.test.ts'],
        named: 'the lease is given back',
      },
    ],
  },
]
