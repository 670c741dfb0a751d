import type { Source } from '@tidemark/protocol'
import type { SourceFacts } from '../facts/source-facts.ts'
import type { Finding } from './finding.ts'

/** Whether the newest epoch is one that the publisher will go on with. */
export function epochFindings(source: Source, facts: SourceFacts): Finding[] {
  const { epoch, server, grants } = facts
  if (server.inRecovery) return []
  if (!grants.hasEpochTable) return [absent('table tidemark.epoch', 'nothing can be cached: a value has no history')]
  if (!grants.hasInvalidate) return [absent('function tidemark.invalidate', 'the publisher has to make it')]
  // Told by what the role lacks.
  if (epoch === 'no-table') return []
  if (epoch === undefined) {
    return [warning('epoch-missing', 'the source has no epoch yet', 'nothing is published, and nothing can be cached')]
  }
  const what = reason(source, facts, epoch)
  return what === undefined ? [] : [warning('epoch-ends', `epoch ${epoch.number}: ${what}`, REFILL)]
}

const REFILL = 'the publisher opens a new epoch at its next start: every cached value is refilled once'

function absent(what: string, breaks: string): Finding {
  return {
    ...{ severity: 'error', check: 'schema', where: 'source', what: `there is no ${what}`, breaks },
    mend: 'tidemark init --yes, or tidemark init --print-sql where the role may not create it',
  }
}

function warning(check: string, what: string, breaks: string): Finding {
  const mend = 'Start the publisher, if it does not run; its log says why it opens an epoch, and what it waits for'
  return { severity: 'warning', check, where: 'source', what, breaks, mend }
}

function reason(source: Source, { server }: SourceFacts, epoch: Exclude<SourceFacts['epoch'], 'no-table' | undefined>) {
  if (epoch.systemIdentifier !== server.systemIdentifier) return 'it is of another cluster'
  if (epoch.timeline !== server.timeline)
    return `the server was promoted, from timeline ${epoch.timeline} to ${server.timeline}`
  if (epoch.start === null) return 'its opening was cut off, or is waiting for transactions that were running'
  if (epoch.slot !== source.slot) return `its slot was ${epoch.slot}`
  if (epoch.shape === null) return 'the publication was incomplete, or a table not as the stream needs it, for a while'
  return undefined
}
