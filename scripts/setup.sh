#!/bin/bash
# Makes the environment that a target needs: setup.sh run|test|servers VENV. Quick when nothing has changed.
# Python packages come hash-locked from requirements/; Debian packages are installed only where we are root.
set -euo pipefail
cd "$(dirname "$0")/.."
WHAT=$1 VENV=$2

need() { # Debian packages that are missing
  local missing=("$@")
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing ${missing[*]} ..." >&2
    local log
    log=$(mktemp)
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
      >"$log" 2>&1 || { tail -5 "$log" >&2; return 1; }
  else
    echo "missing: ${missing[*]}. Type:  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    return 1
  fi
}

need_samba() { # Samba's packages start services that offer file shares to the network: those that come with them stay off
  local service new=() policy=/usr/sbin/policy-rc.d
  for service in smbd nmbd winbind samba-ad-dc; do [ -e "/lib/systemd/system/$service.service" ] || new+=("$service"); done
  if [ ${#new[@]} -gt 0 ] && [ ! -e $policy ]; then # Debian asks it what an installation may start; it is for this one only
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nfor word; do case $word in %s) exit 101 ;; esac; done\n' "$(IFS='|'; echo "${new[*]/%/*}")" >$policy
    chmod 755 $policy
  fi
  need samba samba-ad-dc samba-ad-provision samba-dsdb-modules winbind python3-samba ldb-tools krb5-user socat iproute2 openssl || true
  for service in "${new[@]}"; do update-rc.d "$service" disable >/dev/null 2>&1 || true; done # nor when the machine starts
  [ ${#new[@]} -eq 0 ] || echo "these services stay off; \`systemctl enable --now NAME\` starts one: ${new[*]}" >&2
}

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  { echo "Wardship needs Python 3.11 or newer as python3" >&2; exit 1; }
python3 -c 'import venv, ensurepip' 2>/dev/null || need python3-venv

case $WHAT in
  run) LOCK=requirements/run.lock ;;
  test) LOCK=requirements/dev.lock ;;
  servers) LOCK=requirements/servers.lock ;;
  *) echo "usage: $0 run|test|servers VENV" >&2; exit 2 ;;
esac

STAMP=$VENV/.installed-$WHAT
WANT=$({ cat "$LOCK" pyproject.toml hatch_build.py && find wardship -name '*.po' -print0 | sort -z | xargs -0r cat; } | sha256sum)
if [ "$(cat "$STAMP" 2>/dev/null)" != "$WANT" ]; then
  [ -x "$VENV/bin/python" ] || python3 -m venv "$VENV"
  echo "installing Python packages ($WHAT) ..." >&2
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check --require-hashes -r "$LOCK"
  "$VENV/bin/python" -m pip install -q --disable-pip-version-check --no-deps -e .
  echo "$WANT" >"$STAMP"
fi

# Servers and programs that tests use. Where they cannot be installed the tests say so (and fail where CI=true).
if [ "$WHAT" != run ]; then
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql || true
  command -v ssh-keygen >/dev/null || need openssh-client || true
  command -v keytool >/dev/null || need openjdk-17-jre-headless || true # Java too, for Spark
fi
if [ "$WHAT" = servers ] && [ "$(id -u)" = 0 ]; then # others cannot run a domain controller
  for program in samba samba-tool ldbmodify kinit socat ip openssl; do command -v $program >/dev/null || SAMBA=missing; done
  [ -z "${SAMBA:-}" ] || need_samba
fi
