import type { Source } from '@tidemark/protocol'
import { loadSource } from '@tidemark/service'
import type { Command } from '../command.ts'
import { EXIT_CODE } from '../exit-code.ts'
import { type Answer, factsOf, type Parts, readParts } from '../facts/parts.ts'
import type { SourceFacts } from '../facts/source-facts.ts'
import { readServers } from '../settings.ts'
import { bypassFindings } from './bypass-findings.ts'
import { epochFindings } from './epoch-findings.ts'
import { bySeverity, type Finding, findingText } from './finding.ts'
import { redisFindings } from './redis-findings.ts'
import { replicaFindings } from './replica-findings.ts'
import { roleFindings } from './role-findings.ts'
import { serverFindings } from './server-findings.ts'
import { PATIENCE, type Patience, slotFindings } from './slot-findings.ts'
import { tableFindings } from './table-findings.ts'
import { topicFindings } from './topic-findings.ts'

export const doctor: Command = {
  name: 'doctor',
  summary: 'looks for what is wrong, or will be: each finding says what breaks, and how to mend it',
  help: `usage: tidemark doctor [--strict] [--json]

Checks the source, the topic, and every Redis and replica that the environment names. It changes nothing.

  --strict  warnings fail as errors do
  --json    findings as JSON, for machines

Exit code: 0 nothing that fails, 1 an error (with --strict, or a warning), 2 mistaken settings.`,
  options: { strict: { type: 'boolean' }, json: { type: 'boolean' } },
  run: async (flags, { env, print }) => {
    const servers = readServers(env)
    const source = await loadSource(servers.config)
    const parts = await readParts(source, servers)
    const findings = bySeverity(findingsOf(source, parts, PATIENCE, Date.now()))
    print(flags.json ? JSON.stringify(findings, null, 2) : report(source, parts, findings))
    const fails = findings.some(({ severity }) => severity === 'error' || (flags.strict && severity === 'warning'))
    return fails ? EXIT_CODE.wrong : EXIT_CODE.fine
  },
}

/** What is wrong, from what was read. */
export function findingsOf(source: Source, parts: Parts, patience: Patience, nowMs: number): Finding[] {
  const facts = factsOf(parts.source)
  const epoch = typeof facts?.epoch === 'object' ? facts.epoch.number : undefined
  const ofPart = <T>(where: string, answer: Answer<T>, judge: (facts: T) => Finding[]) =>
    'facts' in answer ? judge(answer.facts) : [unreachable(where, answer.failure)]
  return [
    ...ofPart('source', parts.source, (primary) => sourceFindings(source, primary, patience)),
    ...ofPart('topic', parts.topic, (topic) => topicFindings(source, topic)),
    ...parts.regions.flatMap((region) =>
      ofPart(`redis ${region.name}`, region, (redis) => redisFindings(region.name, source, redis, epoch, nowMs)),
    ),
    ...parts.replicas.flatMap((replica) =>
      ofPart(`replica ${replica.name}`, replica, (own) => replicaFindings(replica.name, source.slot, own, facts)),
    ),
  ]
}

export function sourceFindings(source: Source, facts: SourceFacts, patience: Patience): Finding[] {
  return [
    ...serverFindings(source, facts),
    ...roleFindings(facts),
    ...tableFindings(source, facts),
    ...bypassFindings(facts),
    ...slotFindings(source, facts, patience),
    ...epochFindings(source, facts),
  ]
}

function unreachable(where: string, failure: string): Finding {
  return {
    ...{ severity: 'error', check: 'unreachable', where },
    ...{
      what: failure,
      breaks: 'nothing can be said of it',
      mend: 'Start it, or mend the variable that names it, or what its role or account may do',
    },
  }
}

/** The last line says what was looked at, too: of a server that no variable names there is no finding. */
function report({ name }: Source, { regions, replicas }: Parts, findings: readonly Finding[]): string {
  const counts = (['error', 'warning', 'info'] as const).map((s) => findings.filter((f) => f.severity === s).length)
  const [errors, warnings, infos] = counts
  const looked = `source, topic, ${regions.length} Redis, ${replicas.length} replica(s)`
  const last = `${name}: ${errors} error(s), ${warnings} warning(s), ${infos} to know; looked at ${looked}`
  return [...findings.map(findingText), last].join('\n\n')
}
