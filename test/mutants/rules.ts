import type { Rule } from './rule.ts'
import { FILL } from './rules/fill.ts'
import { LEASE } from './rules/lease.ts'
import { LOOK } from './rules/look.ts'
import { PRIMARY } from './rules/primary.ts'
import { REPLICA } from './rules/replica.ts'
import { SESSION } from './rules/session.ts'
import { WIDER } from './rules/wider.ts'

/** Each rule of section 6 of `protocol.md`, and those of section 2 that it uses, with the ways in which each is broken. */
export const RULES: readonly Rule[] = [...LOOK, ...LEASE, ...REPLICA, ...PRIMARY, ...FILL, ...SESSION, ...WIDER]
