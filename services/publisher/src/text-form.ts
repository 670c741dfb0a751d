/**
 * The settings by which Postgres turns values into text, and hence into keys. Left to the defaults of server, role and
 * database, an ALTER ROLE would give every row new keys, and the old ones would never be invalidated again.
 */
export const TEXT_FORM: Readonly<Record<string, string>> = {
  client_encoding: 'UTF8',
  datestyle: 'ISO, MDY',
  timezone: 'UTC',
  intervalstyle: 'postgres',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  // What regclass and regtype print is qualified unless it is found without.
  search_path: 'pg_catalog',
  quote_all_identifiers: 'off',
}
