import { AssertionError } from 'node:assert'
import { ensureTopic, kafkaError, readTopic } from '@tidemark/kafka'
import { codedError, ensureEpochTable, ensurePublication, leastPrivilege, readServerFacts } from '@tidemark/postgres'
import { type Source, TidemarkError } from '@tidemark/protocol'
import { loadSource, readSettings } from '@tidemark/service'
import type { Command, Flags, Terminal } from '../command.ts'
import { LOOK_MS, withKafka, withPostgres } from '../connections.ts'
import { EXIT_CODE, type ExitCode } from '../exit-code.ts'
import { readSource } from '../facts/source-facts.ts'
import { configSettings, readServers, type Servers } from '../settings.ts'
import { planOf, planText, type Step } from './init-plan.ts'

export const init: Command = {
  name: 'init',
  summary: 'brings a source into being: schema, publication, topic',
  help: `usage: tidemark init [--yes]
       tidemark init --print-sql [--publisher-role NAME] [--app-role NAME]

Without --yes it shows what is there, and what it would do, and changes nothing. With it, it does that and asks nothing;
where it was cut off it is run again, and where all is there it does nothing. What exists is never altered. The slot and
the epoch are the publisher's: it makes them when it is started.

  --yes             do it
  --print-sql       print what a DBA runs where the publisher's role may not do it itself: roles, grants, table,
                    publication; needs no server
  --publisher-role  tidemark_publisher unless given
  --app-role        tidemark_app unless given

Exit code: 0 nothing to do, or done; 10 something to do; 1 something is in the way; 2 mistaken settings.`,
  options: {
    yes: { type: 'boolean' },
    'print-sql': { type: 'boolean' },
    'publisher-role': { type: 'string', default: 'tidemark_publisher' },
    'app-role': { type: 'string', default: 'tidemark_app' },
  },
  run: (flags, terminal) => (flags['print-sql'] ? printSql(flags, terminal) : initialise(flags, terminal)),
}

async function printSql(flags: Flags, { env, print }: Terminal): Promise<ExitCode> {
  const source = await loadSource(readSettings(configSettings, env).TIDEMARK_CONFIG)
  const roles = { publisher: String(flags['publisher-role']), app: String(flags['app-role']) }
  const head =
    `-- What source ${source.name} needs of its database. To be run there, once, by its owner or a superuser:\n` +
    '-- psql -v ON_ERROR_STOP=1 -d DATABASE -f THIS_FILE. It can be run again.\n' +
    '-- The server must run with wal_level = logical, which takes a restart to change.'
  const sections = leastPrivilege(source, roles).map(({ why, sql }) => `${why.replaceAll(/^/gm, '-- ')}\n${sql}`)
  print([head, ...sections].join('\n\n'))
  return EXIT_CODE.fine
}

async function initialise(flags: Flags, { env, print }: Terminal): Promise<ExitCode> {
  const servers = readServers(env)
  const source = await loadSource(servers.config)
  const plan = await readPlan(source, servers)
  print(planText(source, plan))
  if (plan.some(({ state }) => state === 'blocked')) return EXIT_CODE.wrong
  const todo = plan.filter(({ state }) => state === 'to do')
  if (todo.length === 0) return EXIT_CODE.fine
  if (!flags.yes) {
    print('\nNothing was changed; with --yes it is done.')
    return EXIT_CODE.pending
  }
  print('')
  for (const { part } of todo) {
    await orRefused(part, carryOut(part, source, servers))
    print(`done      ${part}`)
  }
  return EXIT_CODE.fine
}

async function readPlan(source: Source, servers: Servers): Promise<Step[]> {
  const [facts, topic] = await Promise.all([
    withPostgres(servers.primaryUrl, async (client) => {
      // Refuses what no plan can mend: a standby, and a server that decodes nothing.
      await readServerFacts(client)
      return readSource(client, source)
    }),
    withKafka(servers.kafka, (kafka) => readTopic(kafka, source.topic)),
  ])
  return planOf(source, facts, topic, servers.replicationFactor)
}

async function carryOut(part: Step['part'], source: Source, servers: Servers): Promise<void> {
  const { primaryUrl, kafka, replicationFactor } = servers
  const { topic, partitions } = source
  switch (part) {
    case 'schema':
      return withPostgres(primaryUrl, ensureEpochTable)
    case 'publication':
      return withPostgres(primaryUrl, (client) => ensurePublication(client, source))
    case 'topic':
      await withKafka(kafka, (client) => ensureTopic(client, { topic, partitions, replicationFactor }), LOOK_MS * 3)
      return
    case 'slot and epoch':
      throw new AssertionError({ message: 'only the publisher opens an epoch' })
  }
}

/** What a role may not do itself, somebody else can do for it. */
async function orRefused(part: Step['part'], done: Promise<void>): Promise<void> {
  try {
    await done
  } catch (error) {
    const coded = codedError(kafkaError(error), `the ${part} cannot be made`)
    if (coded.code !== 'SERVER_REFUSED' || part === 'topic') throw coded
    const mend = 'A DBA can: tidemark init --print-sql says what to run'
    throw new TidemarkError('SERVER_REFUSED', `the ${part} cannot be made by this role`, { mend, cause: coded })
  }
}
