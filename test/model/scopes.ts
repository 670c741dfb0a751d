import type { Fault, Scope } from './rules.ts'

/** What may happen beside the ordinary. */
export const FAULTS: readonly Fault[] = [
  'publisher crashes',
  'Redis fails over',
  'Redis evicts',
  'tombstones dropped',
  'zombie',
  'lease expires',
  'retention',
  'slot lost',
  'promotion',
]

const A = [1]
const A_B_BOTH = [1, 2, 3]
const SMALL = {
  touches: A_B_BOTH,
  commits: 1,
  fills: 1,
  apps: 1,
  faults: 0,
  kinds: [],
  session: false,
  reaction: 'invalidate',
} as const
const HARD = [
  'publisher crashes',
  'Redis fails over',
  'Redis evicts',
  'tombstones dropped',
  'zombie',
  'retention',
] as const

/** Worlds of a size that is explored in seconds, two of them in minutes: each mutant breaks a claim in the one that is named for it. */
export const BRIEF = {
  crashes: { ...SMALL, faults: 1, kinds: HARD },
  epochs: { ...SMALL, faults: 1, kinds: ['slot lost', 'promotion'] },
  'two epochs': { ...SMALL, touches: A, faults: 2, kinds: ['slot lost', 'promotion', 'publisher crashes'] },
  'two commits': { ...SMALL, touches: A, commits: 2, faults: 1, kinds: ['publisher crashes', 'Redis evicts'] },
  session: { ...SMALL, fills: 2, session: true },
  'own writes': { ...SMALL, touches: A, commits: 2, session: true },
  'session over a promotion': { ...SMALL, touches: A, faults: 1, kinds: ['slot lost', 'promotion'], session: true },
  'two apps': { ...SMALL, touches: A, fills: 2, apps: 2, faults: 1, kinds: ['lease expires', 'Redis evicts'] },
  update: { ...SMALL, touches: A, commits: 2, reaction: 'update' },
} as const satisfies Record<string, Scope>

/** Worlds of many millions of states, for `npm run model -- long`. */
export const LONG: Record<string, Scope> = {
  'three commits of two keys': { ...SMALL, commits: 3 },
  'three commits of two keys, with a session': { ...SMALL, commits: 3, session: true },
  ...Object.fromEntries(
    FAULTS.map((fault) => [
      `two commits, and ${fault}`,
      { ...SMALL, commits: 2, faults: 1, kinds: [fault], session: true },
    ]),
  ),
  'two faults of any kind': { ...SMALL, faults: 2, kinds: FAULTS },
  'two apps that fill twice': {
    ...SMALL,
    commits: 2,
    fills: 2,
    apps: 2,
    faults: 1,
    kinds: ['lease expires', 'Redis evicts'],
  },
}

export type BriefScope = keyof typeof BRIEF
