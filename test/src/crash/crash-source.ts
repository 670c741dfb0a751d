import { defineSource } from '@tidemark/protocol'

/** More keys of a keyspace than this in one transaction are one floor. */
export const BULK_LIMIT = 40

/** One transaction of more records than one send takes. */
export const LOAD = 'insert into entry select from generate_series(1, 4500)'

export const SCHEMA = `
  create table item (id integer primary key, owner integer not null, n bigint not null);
  alter table item replica identity full;
  create table entry (id bigserial primary key)`

/**
 * The source of the crash matrix: rows of `item` have two keys each, which both may change; every transaction that
 * commits also adds a row to `entry`, whose key no other transaction has, so that no commit can hide behind a later
 * one of the same key.
 */
export function crashSource(name: string) {
  const maxKeysPerTransaction = BULK_LIMIT
  return defineSource({
    name,
    partitions: 3,
    keyspaces: {
      item: { key: 'item:{id}', tables: { 'public.item': { id: 'id' } }, maxKeysPerTransaction },
      owner: { key: 'owner:{owner}', tables: { 'public.item': { owner: 'owner' } }, maxKeysPerTransaction },
      entry: { key: 'entry:{id}', tables: { 'public.entry': { id: 'id' } } },
    },
  })
}
