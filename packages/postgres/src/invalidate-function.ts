/**
 * As a statement: how an app says that something has changed which no published table shows. What it says has the
 * version of the transaction that calls it, and is unsaid if that one rolls back. Keys are as the key templates spell
 * them; what is not understood makes every keyspace of the source stale.
 *
 * It raises for a source that no publisher has opened here: nobody would listen. Whoever may use the schema may call it,
 * for all that can be done with it is to have values refilled, and `pg_logical_emit_message`, which does the same, is
 * open to everybody.
 */
export const INVALIDATE_FUNCTION = `
  create or replace function tidemark.invalidate(
    source text, keys text[] default '{}', tags text[] default '{}', keyspaces text[] default '{}')
  returns pg_lsn language plpgsql as $body$
  begin
    if not exists (select from tidemark.epoch e where e.source = invalidate.source) then
      raise exception 'tidemark has no source %', coalesce(quote_literal(source), 'without a name')
        using hint = 'Name one of tidemark.epoch, or start its publisher first.';
    end if;
    return pg_logical_emit_message(true, 'tidemark.' || source, json_build_object(
      'keys', coalesce(keys, '{}'), 'tags', coalesce(tags, '{}'), 'keyspaces', coalesce(keyspaces, '{}'))::text);
  end $body$;`

/** The function's name to `to_regprocedure`. */
export const INVALIDATE_SIGNATURE = 'tidemark.invalidate(text,text[],text[],text[])'
