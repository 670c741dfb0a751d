export { isAtWork } from './backend-activity.ts'
export { connect, connectionConfig, disconnect } from './connection.ts'
export {
  type Epoch,
  ensureEpochTable,
  newestEpoch,
  type OpenEpoch,
  recordEpoch,
  recordStart,
  TIDEMARK_SCHEMA,
  withdrawEpoch,
} from './epoch.ts'
export { leastPrivilege, type Roles, type SqlSection } from './grants.ts'
export { quoteIdentifier, quoteLiteral, quoteTable } from './identifier.ts'
export { lockOpening, unlockOpening } from './opening-lock.ts'
export {
  checkPublication,
  createPublication,
  ensurePublication,
  inspectPublication,
  type PublicationMistake,
  tablesOf,
} from './publication.ts'
export { type KeyspaceWithoutColumns, keyspacesWithoutColumns } from './published-columns.ts'
export { checkTables, inspectTables, makesSameKeys, type TableMistake } from './replica-identity.ts'
export { readServerFacts, type ServerFacts } from './server-facts.ts'
export { type PrimarySettings, postgresUrl, primarySettings, primaryUrl } from './settings.ts'
export { checkStreamedSlot, endBackend, readSlot, recreateSlot, type SlotState } from './slot.ts'
export { readSlotHealth, type SlotHealth } from './slot-health.ts'
export { codedError, sqlState } from './sql-error.ts'
export { readLayouts, type TableLayout } from './table-layout.ts'
export { announceChangedTables } from './table-watch.ts'
export { holderOf, oldestHolder, type TransactionHolder } from './transaction-holder.ts'
