#!/bin/bash
# AWS by moto (PyPI), state in memory. usage: moto.sh start|stop. Prints its endpoint.
. "$(dirname "$0")/common.sh"
D=$STATE/moto
mkdir -p "$D"
if [ "${1:-start}" = stop ]; then kill "$(cat "$D/pid")"; exit; fi
one_at_a_time moto
if ! alive "$D/pid"; then
  free_port >"$D/port"
  MOTO_IAM_LOAD_MANAGED_POLICIES=true nohup "$PY" -m moto.server -H 127.0.0.1 -p "$(cat "$D/port")" >"$D/log" 2>&1 9>&- &
  echo $! >"$D/pid"
fi
wait_port "$(cat "$D/port")" 60 "$D/pid" || { tail -3 "$D/log" >&2; exit 1; }
echo "http://127.0.0.1:$(cat "$D/port")"
