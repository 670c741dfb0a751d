export { connect, connectionConfig, disconnect } from './connection.ts'
export {
  distrustNewestEpoch,
  type Epoch,
  ensureEpochTable,
  newestEpoch,
  type OpenEpoch,
  recordEpoch,
  recordStart,
} from './epoch.ts'
export { quoteIdentifier, quoteLiteral, quoteTable } from './identifier.ts'
export { checkPublication, ensurePublication } from './publication.ts'
export { checkTables } from './replica-identity.ts'
export { readServerFacts, type ServerFacts } from './server-facts.ts'
export { endBackend, readSlot, recreateSlot, type SlotState } from './slot.ts'
export { codedError, sqlState } from './sql-error.ts'
