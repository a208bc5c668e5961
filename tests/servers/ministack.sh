#!/bin/bash
# A second AWS emulator (PyPI ministack). usage: ministack.sh start|stop. Prints its endpoint.
# It would listen on every interface, and open an MQTT port, unless told not to.
. "$(dirname "$0")/common.sh"
D=$STATE/ministack
mkdir -p "$D"
if [ "${1:-start}" = stop ]; then kill "$(cat "$D/pid")"; exit; fi
one_at_a_time ministack
if ! alive "$D/pid"; then
  free_port >"$D/port"
  HOME=$D TMPDIR=$D BIND_HOST=127.0.0.1 IOT_MTLS_ENABLED=0 GATEWAY_PORT=$(cat "$D/port") CLOUDTRAIL_RECORDING=1 \
    nohup "$PY" -m ministack >"$D/log" 2>&1 9>&- &
  echo $! >"$D/pid"
fi
wait_port "$(cat "$D/port")" 60 "$D/pid" || { tail -3 "$D/log" >&2; exit 1; }
echo "http://127.0.0.1:$(cat "$D/port")"
