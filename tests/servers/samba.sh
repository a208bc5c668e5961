#!/bin/bash
# Real Active Directory domain controller (Debian package samba-ad-dc), its audit logs as JSON switched on.
# usage: samba.sh start|stop. Prints the folder of its state; tests/servers/samba.py knows what lies in it. The domain is
# CORP.EXAMPLE.TEST, and the password of its Administrator is Wardship-test-1.
#
# The ports of a domain controller stand in Samba's code, below 1024. So it lives in a network namespace of its own,
# which takes root, and socat hands connections to free ports of 127.0.0.1 in; they arrive from 192.0.2.40.
. "$(dirname "$0")/common.sh"
D=$STATE/samba
mkdir -p "$D"
group_lives() { [ -f "$D/pids" ] && kill -0 -- "-$(head -1 "$D/pids")" 2>/dev/null; }
stop() {
  [ -f "$D/pids" ] || return 0
  kill -- "-$(head -1 "$D/pids")" 2>/dev/null || true # first: all of the namespace, a group of processes
  tail -n +2 "$D/pids" | xargs -r kill 2>/dev/null || true
  for _ in $(seq 50); do group_lives || break; sleep 0.1; done
  rm -f "$D/pids"
}
if [ "${1:-start}" = stop ]; then stop; exit; fi
one_at_a_time samba
fail() { echo "$1" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "a Samba domain controller needs root here: its ports are below 1024"
for p in samba samba-tool ldbsearch ldbmodify kinit socat ip openssl; do
  command -v $p >/dev/null || fail "$p is not installed: apt-get install --no-install-recommends samba samba-ad-dc samba-ad-provision samba-dsdb-modules winbind python3-samba ldb-tools krb5-user socat iproute2 openssl"
done
unshare -n true 2>/dev/null || fail "a Samba domain controller needs a network namespace here, and the kernel refuses one"

CONF=$D/dc/etc/smb.conf
cat >"$D/ours.conf" <<C # included by the domain controller's own smb.conf
	server services = ldap, cldap, kdc
	pid directory = $D/run
	ncalrpc dir = $D/run/ncalrpc
	ntp signd socket directory = $D/run/ntp
	winbindd socket directory = $D/run/winbind
	ldap server require strong auth = allow_sasl_over_tls
	ldb:nosync = true
	tls keyfile = $D/tls.key
	tls certfile = $D/tls.pem
	tls cafile = $D/tls.pem
	log file = $D/log.samba
	max log size = 0
	log level = 1 auth_json_audit:5 dsdb_json_audit:5 dsdb_password_json_audit:5 dsdb_group_json_audit:5 dsdb_transaction_json_audit:5
C
cat >"$D/client.conf" <<C
[global]
	realm = CORP.EXAMPLE.TEST
	workgroup = CORP
	tls cafile = $D/tls.pem
	tls verify peer = ca_only
	client ldap sasl wrapping = plain
	private dir = $D/client
	lock directory = $D/client
	state directory = $D/client
	cache directory = $D/client
C
if [ ! -f "$D/provisioned" ]; then
  rm -rf "$D/dc"; mkdir -p "$D/client"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=dc1.corp.example.test \
    -keyout "$D/tls.key" -out "$D/tls.pem" 2>/dev/null # Samba makes its own, of 4096 bits, in five seconds
  samba-tool domain provision --targetdir="$D/dc" --realm=CORP.EXAMPLE.TEST --domain=CORP --server-role=dc \
    --dns-backend=NONE --host-name=dc1 --host-ip=127.0.0.1 --adminpass=Wardship-test-1 --option="interfaces=lo" \
    --option="bind interfaces only=yes" --option="ldb:nosync=true" >"$D/provision.log" 2>&1 9>&- ||
    { tail -3 "$D/provision.log" >&2; exit 1; }
  sed -i "/server services\|max log size\|log file\|panic action/d; s|^\[global\]|&\n\tinclude = $D/ours.conf|" "$CONF"
  samba-tool domain passwordsettings set --min-pwd-age=0 --account-lockout-threshold=4 -s "$CONF" \
    -H "$D/dc/private/sam.ldb" >>"$D/provision.log" 2>&1 9>&-
  touch "$D/provisioned"
fi
if ! group_lives; then
  stop # what is left of a failed start
  rm -rf "$D/run"; mkdir -m 700 "$D/run"; rm -f "$D/log.samba"
  for p in ldaps kdc kpasswd; do free_port >"$D/$p.port"; done
  cat >"$D/krb5.conf" <<K
[libdefaults]
 default_realm = CORP.EXAMPLE.TEST
 dns_lookup_kdc = false
 rdns = false
 udp_preference_limit = 1
[realms]
 CORP.EXAMPLE.TEST = {
  kdc = 127.0.0.1:$(cat "$D/kdc.port")
  kpasswd_server = 127.0.0.1:$(cat "$D/kpasswd.port")
 }
K
  setsid nohup unshare -n bash -c '
    ip link set lo up
    ip address add 192.0.2.40/32 dev lo
    for p in 636 88 464; do socat "UNIX-LISTEN:$1/run/$p,fork" "TCP:127.0.0.1:$p,bind=192.0.2.40" & done
    exec samba -F -s "$2"' samba "$D" "$CONF" >"$D/out" 2>&1 </dev/null 9>&- &
  echo $! >"$D/pids"
  for p in ldaps:636 kdc:88 kpasswd:464; do
    nohup socat "TCP-LISTEN:$(cat "$D/${p%:*}.port"),bind=127.0.0.1,reuseaddr,fork" "UNIX-CONNECT:$D/run/${p#*:}" \
      >/dev/null 2>&1 </dev/null 9>&- &
    echo $! >>"$D/pids"
  done
fi
answers() { # both the directory and the ticket service
  timeout 10 ldbsearch --configfile="$D/client.conf" -H "ldaps://127.0.0.1:$(cat "$D/ldaps.port")" -b '' -s base dn &&
    echo Wardship-test-1 | KRB5_CONFIG="$D/krb5.conf" timeout 10 kinit -c "MEMORY:" Administrator
} >"$D/answer" 2>&1
for _ in $(seq 150); do
  answers && { echo "$D"; exit; }
  group_lives || break
  sleep 0.2
done
tail -3 "$D/out" "$D/log.samba" "$D/answer" >&2
exit 1
