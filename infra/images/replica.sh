#!/bin/sh
# Starts a streaming replica. The first time it copies the primary, under another name until the copy is complete: one that
# broke off must not be taken for a database. The connection comes from PGHOST, PGUSER, PGPASSWORD and PGAPPNAME.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  copy="$(dirname "$PGDATA").unfinished"
  rm -rf "$copy"
  gosu postgres mkdir -p "$(dirname "$PGDATA")"
  gosu postgres pg_basebackup -D "$copy" -X stream -S eu_west -R --checkpoint=fast
  [ ! -d "$PGDATA" ] || rmdir "$PGDATA"
  mv "$copy" "$PGDATA"
fi
exec docker-entrypoint.sh postgres "$@"
