import { quoteIdentifier } from '@tidemark/postgres'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding } from './finding.ts'

/** What the role of TIDEMARK_PRIMARY_URL lacks of what the publisher needs; `init --print-sql` grants all of it. */
export function roleFindings({ grants, server }: SourceFacts): Finding[] {
  if (grants.isSuperuser || server.inRecovery) return []
  const role = quoteIdentifier(grants.role)
  const lacks = (what: string, breaks: string, mend: string): Finding => ({
    ...{ severity: 'error', check: 'role', where: 'source' },
    ...{ what: `role ${grants.role} ${what}`, breaks, mend },
  })
  const found: Finding[] = []
  if (!grants.mayReplicate) {
    const breaks = 'the publisher can neither make its slot nor stream from it'
    found.push(lacks('may not replicate', breaks, `ALTER ROLE ${role} REPLICATION`))
  }
  if (grants.closedSchemas.length > 0) {
    const schemas = grants.closedSchemas.map(quoteIdentifier).join(', ')
    const breaks = 'the publisher cannot check the tables, and does not start'
    found.push(lacks(`may not use ${schemas}`, breaks, `GRANT USAGE ON SCHEMA ${schemas} TO ${role}`))
  }
  if (grants.hasEpochTable && grants.lacksOnEpoch.length > 0) {
    found.push(
      lacks(
        `lacks on tidemark.epoch: ${grants.lacksOnEpoch.join(', ')}`,
        'the publisher cannot record an epoch, and does not start',
        `GRANT USAGE ON SCHEMA tidemark TO ${role};\n` +
          `GRANT SELECT, INSERT, DELETE, UPDATE (start_lsn, shape) ON tidemark.epoch TO ${role}`,
      ),
    )
  }
  return found
}
