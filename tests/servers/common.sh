# Shared by the start scripts of this folder. State lives in $WARDSHIP_SERVERS (default: .servers in the project).
# Every server listens on 127.0.0.1 only, on a port that was free when it first started.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$HERE/../.." && pwd)
STATE=${WARDSHIP_SERVERS:-$PROJECT/.servers}
PY=${PYTHON:-$PROJECT/.venv/bin/python}
mkdir -p "$STATE"

free_port() { "$PY" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
alive() { [ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
# One start at a time, also when several test processes ask at once.
one_at_a_time() { exec 9>"$STATE/$1.lock"; flock 9; }
wait_port() { # port, seconds, pid file
  for _ in $(seq $(($2 * 10))); do
    listening "$1" && return 0
    alive "$3" || return 1
    sleep 0.1
  done
  return 1
}
