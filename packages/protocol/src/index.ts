export { alarmAfterMs, type Contract, contractSchema, retentionMs } from './contract.ts'
export { type ErrorCode, isTidemarkError, TidemarkError } from './errors.ts'
export { type KeyTemplate, type KeyValue, keyFor, MAX_KEY_BYTES, paramsIn, renderKey } from './key-template.ts'
export { formatLsn, type Lsn, MAX_LSN, parseLsn, roundDownInPageHeader } from './lsn.ts'
export { partitionOf } from './partition.ts'
export {
  after,
  covers,
  ENCODED_LENGTH,
  epochOf,
  isEncoded,
  join,
  lsnOf,
  maxPosition,
  ORIGIN,
  type Position,
  parsePosition,
  position,
  satisfies,
  type Version,
  version,
} from './position.ts'
export { misfitOf, type Projection, projectRow } from './projection.ts'
export { decodeRecord, type EncodedRecord, encodeRecord, RECORD_FORMAT, type TidemarkRecord } from './record.ts'
export {
  allKeyspaces,
  defineSource,
  type Keyspace,
  keyspaceOf,
  keyspaceOfKey,
  type ParamsOf,
  type Source,
  type SourceConfig,
  TAGS,
} from './source.ts'
export { tagKey } from './tag.ts'
