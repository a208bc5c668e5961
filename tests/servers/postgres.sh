#!/bin/bash
# Real PostgreSQL (Debian package postgresql). usage: postgres.sh start|stop. Prints the URL of an administrator.
. "$(dirname "$0")/common.sh"
D=$STATE/postgres
BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$BIN" ] || { echo "PostgreSQL is not installed: apt-get install --no-install-recommends postgresql" >&2; exit 1; }
AS=()
if [ "$(id -u)" = 0 ]; then AS=(runuser -u postgres --); fi # the server refuses to run as root
pg() { (cd / && "${AS[@]}" "$@"); }
if [ "${1:-start}" = stop ]; then pg "$BIN/pg_ctl" -D "$D/data" -m fast stop; exit; fi
one_at_a_time postgres
# Another user must be able to walk to the data; /tmp is where root may hand a folder over.
if [ "$(id -u)" = 0 ] && [ ! -L "$D" ]; then
  R=$(mktemp -d /tmp/wardship-postgres.XXXXXX); chown postgres "$R"; ln -sfn "$R" "$D"
fi
mkdir -p "$D"
if [ ! -f "$D/data/PG_VERSION" ]; then
  PORT=$(free_port)
  printf 'wardship-test' >"$STATE/postgres.pw"; chmod 644 "$STATE/postgres.pw"; cp "$STATE/postgres.pw" "$D/pw"
  pg "$BIN/initdb" -D "$D/data" -U wardship_root --pwfile="$D/pw" -A scram-sha-256 -E UTF8 --locale=C.UTF-8 >"$STATE/postgres.init.log" 2>&1
  pg tee -a "$D/data/postgresql.conf" >/dev/null <<C
listen_addresses = '127.0.0.1'
port = $PORT
unix_socket_directories = ''
fsync = off
max_connections = 200
log_connections = on
C
  echo "$PORT" >"$STATE/postgres.port"
fi
PORT=$(cat "$STATE/postgres.port")
pg "$BIN/pg_ctl" -D "$D/data" status >/dev/null 2>&1 || pg "$BIN/pg_ctl" -D "$D/data" -w -l "$D/log" start >/dev/null 9>&-
echo "postgresql://wardship_root:wardship-test@127.0.0.1:$PORT/postgres"
