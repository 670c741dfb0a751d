import { quoteIdentifier } from '@tidemark/postgres'
import type { Override } from '../facts/override-facts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding } from './finding.ts'

/**
 * `session_replication_role = replica` hides nothing from logical decoding: what is written is published. But it does not
 * fire triggers, those of foreign keys included: a cascade that does not happen leaves rows, and an invalidation that a
 * trigger would have sent is not sent.
 */
export function bypassFindings({ overrides }: SourceFacts): Finding[] {
  return overrides.map((override) => ({
    severity: 'warning',
    check: 'session-replication-role',
    where: 'source',
    what: `session_replication_role is ${override.value} for ${subject(override)}`,
    breaks:
      'its writes are published, but fire no triggers: foreign keys neither cascade nor refuse, ' +
      'and a trigger that invalidates does not run',
    mend: `ALTER ${target(override)} RESET session_replication_role`,
  }))
}

function subject({ role, database }: Override): string {
  if (role === null) return database === null ? 'every session' : `database ${database}`
  return database === null ? `role ${role}` : `role ${role} in database ${database}`
}

function target({ role, database }: Override): string {
  if (role === null && database === null) return 'SYSTEM RESET session_replication_role, or ALTER ROLE ALL'
  if (role === null) return `DATABASE ${quoteIdentifier(database ?? '')}`
  const where = database === null ? '' : ` IN DATABASE ${quoteIdentifier(database)}`
  return `ROLE ${quoteIdentifier(role)}${where}`
}
