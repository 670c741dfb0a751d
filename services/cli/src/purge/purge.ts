import type { Position, Source } from '@tidemark/protocol'
import { loadSource, redactUrls } from '@tidemark/service'
import { durationText } from '../amount.ts'
import type { Command, Terminal } from '../command.ts'
import { withPostgres, withRedisOpen } from '../connections.ts'
import { EXIT_CODE } from '../exit-code.ts'
import { positionText } from '../position-text.ts'
import { type NamedRedis, readServers } from '../settings.ts'
import { invalidate } from './invalidation.ts'
import { type PurgeTerms, partitionsOf, purgeTerms, type Subjects } from './purge-terms.ts'
import { type Applied, untilApplied } from './region-wait.ts'

export const purge: Command = {
  name: 'purge',
  summary: 'invalidates keys, tags or keyspaces in every region, through the pipeline',
  help: `usage: tidemark purge [KEY...] [--tag NAME]... [--keyspace NAME]... [--wait 30s] [--region NAME] [--yes] [--json]

Calls tidemark.invalidate on the primary, as an app may: the invalidation has a version, takes its place among the others, and
is guarded like them. Then it waits until the regions that the environment names have applied it.

  --tag       all values that carry the tag, several by repeating it
  --keyspace  all values of the keyspace, several by repeating it: each is refilled at its next read
  --wait      how long to wait for the regions, 30s unless given; 0s does not
  --region    wait for this region alone; it is applied in all of them all the same
  --yes       needed with --keyspace
  --json      what was done, for machines

Exit code: 0 applied everywhere; 10 a keyspace, without --yes; 1 some region has not applied it yet, or it could not be said;
2 mistaken arguments or settings.`,
  options: {
    tag: { type: 'string', multiple: true },
    keyspace: { type: 'string', multiple: true },
    wait: { type: 'string' },
    region: { type: 'string' },
    yes: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  takesOperands: true,
  run: async (flags, terminal, operands) => {
    const servers = readServers(terminal.env)
    const source = await loadSource(servers.config)
    const terms = purgeTerms(flags, operands, source, servers.regions)
    if (terms.subjects.keyspaces.length > 0 && !flags.yes) return unconfirmed(terms.subjects, terminal)
    const at = await withPostgres(servers.primaryUrl, (client) => invalidate(client, source, terms.subjects))
    const regions = terms.waitMs === 0 ? [] : await waitForAll(source, terms, at)
    terminal.print(flags.json ? JSON.stringify({ position: at, regions }, null, 2) : reportText(terms, at, regions))
    return regions.every(({ applied }) => 'afterMs' in applied) ? EXIT_CODE.fine : EXIT_CODE.wrong
  },
}

interface RegionReport {
  readonly region: string
  readonly applied: Applied
}

function unconfirmed(subjects: Subjects, { print, complain }: Terminal) {
  print(`would purge ${subjectText(subjects)}: every value of a keyspace is refilled at its next read`)
  complain('nothing was done; with --yes it is')
  return EXIT_CODE.pending
}

function waitForAll(source: Source, { subjects, regions, waitMs }: PurgeTerms, at: Position): Promise<RegionReport[]> {
  const partitions = partitionsOf(subjects, source)
  const wait = ({ redis: connection }: NamedRedis) =>
    withRedisOpen(connection, (redis) => untilApplied(redis, source, partitions, at, waitMs)).catch(lackOf)
  return Promise.all(regions.map(async (region) => ({ region: region.name, applied: await wait(region) })))
}

/** A region that cannot be connected to. */
function lackOf(error: unknown): Applied {
  return { lacking: [redactUrls(error instanceof Error ? error.message : String(error))] }
}

function reportText({ subjects, regions, waitMs }: PurgeTerms, at: Position, reports: readonly RegionReport[]): string {
  const lines = reports.flatMap(({ region, applied }) =>
    'afterMs' in applied
      ? [`${region}: applied after ${durationText(applied.afterMs)}`]
      : applied.lacking.map((what) => `${region}: NOT YET: ${what}`),
  )
  const unwatched = waitMs === 0 ? 'not waited for' : 'the environment names no Redis to wait for'
  const told = `purged ${subjectText(subjects)}: a region whose watermarks have reached ${positionText(at)} has applied it`
  return [told, ...(regions.length === 0 || waitMs === 0 ? [unwatched] : lines)].join('\n')
}

function subjectText({ keys, tags, keyspaces }: Subjects): string {
  return [...keys, ...tags.map((tag) => `tag ${tag}`), ...keyspaces.map((name) => `keyspace ${name}`)].join(', ')
}
