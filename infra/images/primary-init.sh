# Runs once, when the image of Postgres makes the database: lets replicas in, and keeps WAL for the one of eu-west.
set -eu
echo 'host replication all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" \
  -c "select pg_create_physical_replication_slot('eu_west', true)"
