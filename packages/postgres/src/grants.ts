import type { Source } from '@tidemark/protocol'
import { EPOCH_TABLE } from './epoch.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { INVALIDATE_FUNCTION } from './invalidate-function.ts'
import { createPublication, tablesOf } from './publication.ts'

export interface Roles {
  readonly publisher: string
  /** The role that an app reads and refills with. */
  readonly app: string
}

/** One part of what a DBA runs, with why. */
export interface SqlSection {
  readonly why: string
  readonly sql: string
}

/**
 * All that the source needs of its database, as SQL for whoever owns it; nothing here is needed but by what its comment
 * names. It can be run again. No password is in it.
 */
export function leastPrivilege(source: Source, roles: Roles): SqlSection[] {
  const publisher = quoteIdentifier(roles.publisher)
  const app = quoteIdentifier(roles.app)
  return [
    {
      why:
        'The publisher’s role. REPLICATION lets it make its slot and stream from it. It needs no SELECT on your tables.\n' +
        `Then give it a password that no log sees: in psql, \\password ${roles.publisher}`,
      sql: `${createRole(roles.publisher)}\nalter role ${publisher} with login replication;`,
    },
    {
      why:
        'Not needed: with it the publisher’s log names the session that holds a commit back, and how long it has been\n' +
        'open. It shows the publisher the statements of all other sessions, too, which may hold values.',
      sql: `-- grant pg_read_all_stats to ${publisher};`,
    },
    {
      why: 'The role of your app, if it has none yet. Give it the grants on your tables that it needs.',
      sql: createRole(roles.app),
    },
    {
      why: 'Both connect to this database, also where PUBLIC may not.',
      sql: forThisDatabase(`grant connect on database %I to ${publisher}, ${app}`),
    },
    {
      why: 'The epochs of the source. Replicas carry the table along, and readers learn from it which history they are in.',
      sql: EPOCH_TABLE.replace(/^ {2}/gm, '').trim(),
    },
    {
      why: 'The publisher records epochs: it adds rows, changes these two columns of the newest, and takes back a row whose number\nanother server was quicker to take.',
      sql:
        `grant usage on schema tidemark to ${publisher};\n` +
        `grant select, insert, delete, update (start_lsn, shape) on tidemark.epoch to ${publisher};`,
    },
    {
      why: 'The publisher checks the replica identity of each table by its name: it must see the schemas, not the rows.',
      sql: schemasOf(source)
        .map((schema) => `grant usage on schema ${quoteIdentifier(schema)} to ${publisher};`)
        .join('\n'),
    },
    {
      why: 'The publication. Only the owner of the tables, or a superuser, may make it; the publisher only reads it.',
      sql: unless(
        `select from pg_publication where pubname = ${quoteLiteral(source.publication)}`,
        createPublication(source),
      ),
    },
    {
      why: 'What the app reads beside its own tables: which history the server that it loads from is in.',
      sql: `grant usage on schema tidemark to ${app};\ngrant select on tidemark.epoch to ${app};`,
    },
    {
      why:
        'Not needed where the app loads from the primary alone. With it the app sees at once that a replica follows a\n' +
        'promoted server; without, at the replica’s next restart point. It shows the app the statements of all other\n' +
        'sessions, too, which may hold values.',
      sql: `-- grant pg_read_all_stats to ${app};`,
    },
    {
      why: 'What the app calls to say that something has changed which no published table shows.',
      sql: INVALIDATE_FUNCTION.replace(/^ {2}/gm, '').trim(),
    },
  ]
}

function schemasOf(source: Source): string[] {
  return [...new Set(tablesOf(source).map((table) => table.slice(0, table.indexOf('.'))))]
}

function createRole(name: string): string {
  const role = quoteLiteral(name)
  return unless(`select from pg_roles where rolname = ${role}`, `create role ${quoteIdentifier(name)} login`)
}

/** Some statements have no `if not exists` of their own. */
function unless(condition: string, statement: string): string {
  return `do $do$ begin\n  if not exists (${condition}) then\n    ${statement};\n  end if;\nend $do$;`
}

/** The statements that want the database's name take no expression for it. */
function forThisDatabase(statement: string): string {
  return `do $do$ begin\n  execute format(${quoteLiteral(statement)}, current_database());\nend $do$;`
}
