import {
  type Epoch,
  inspectPublication,
  inspectTables,
  type KeyspaceWithoutColumns,
  keyspacesWithoutColumns,
  newestEpoch,
  type PublicationMistake,
  type TableMistake,
} from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import type { Client } from 'pg'
import { type GrantFacts, readGrants } from './grant-facts.ts'
import { type OpenTransaction, readTransactions } from './open-transaction.ts'
import { type Override, readOverrides } from './override-facts.ts'
import { type PrimaryFacts, readPrimary } from './primary-facts.ts'
import { type RelationFacts, readRelations } from './relation-facts.ts'
import { readSlots, type SlotFacts } from './slot-facts.ts'

/** Everything about a source that a finding, or a line of the status, is made of. Of a standby the rest is empty. */
export interface SourceFacts {
  readonly server: PrimaryFacts
  readonly grants: GrantFacts
  readonly publication: 'missing' | readonly PublicationMistake[]
  /** Why the publisher would refuse the tables; not asked where their schemas are closed. */
  readonly mistakes: readonly TableMistake[]
  /** Those that are to be updated in place and never are. */
  readonly unprojected: readonly KeyspaceWithoutColumns[]
  readonly relations: readonly RelationFacts[]
  readonly overrides: readonly Override[]
  readonly slots: readonly SlotFacts[]
  /** `no-table` also when the role may not read it. */
  readonly epoch: 'no-table' | Epoch | undefined
  readonly transactions: readonly OpenTransaction[]
}

/** Reads all of it, one query after the other. Throws what the driver does: it has no answer to give in its place. */
export async function readSource(client: Client, source: Source): Promise<SourceFacts> {
  const server = await readPrimary(client)
  const grants = await readGrants(client, source)
  if (server.inRecovery) return { server, grants, ...NOTHING_ELSE }
  const mayReadEpochs = grants.hasEpochTable && !grants.lacksOnEpoch.some((grant) => READING.includes(grant))
  return {
    server,
    grants,
    publication: await inspectPublication(client, source),
    mistakes: grants.closedSchemas.length > 0 ? [] : await inspectTables(client, source),
    unprojected: await keyspacesWithoutColumns(client, source),
    relations: await readRelations(client, source),
    overrides: await readOverrides(client),
    slots: await readSlots(client),
    epoch: mayReadEpochs ? await newestEpoch(client, source.name) : 'no-table',
    transactions: await readTransactions(client),
  }
}

const READING = ['usage of the schema', 'select']

const NOTHING_ELSE = {
  publication: [],
  mistakes: [],
  unprojected: [],
  relations: [],
  overrides: [],
  slots: [],
  epoch: 'no-table',
  transactions: [],
} as const
