#!/bin/sh
# Checks an exported Wardship audit log without Wardship: needs sh, openssl and the base system (od, sed, tr, xargs).
#
#   sh verify_audit.sh FOLDER                 signatures, and the root over every entry of audit.jsonl
#   sh verify_audit.sh FOLDER --entry N       signatures, and that entry N (inclusion/N.json) is in the signed log;
#                                             the other entries need not be there
#   ... --keys KEYS                           use the public keys in folder KEYS, which you got from somebody you trust;
#                                             without it those of FOLDER are used, and whoever made FOLDER chose them
#   ... --since NOTE                          the log also begins with the log of this older checkpoint.note
#
# Entry n is line n+1 of audit.jsonl. The tree is that of RFC 6962: leaf = SHA-256(0x00 || line), node =
# SHA-256(0x01 || left || right). Exit status: 0 all is well, 1 something is wrong, 2 wrong usage.
set -u
export LC_ALL=C

fail() { echo "FAILED: $1" >&2; exit 1; }
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }

folder='' keys='' entry='' since=''
while [ $# -gt 0 ]; do
  case $1 in
    --entry | --keys | --since) [ $# -ge 2 ] || usage ;;
  esac
  case $1 in
    --entry) entry=$2; shift ;;
    --keys) keys=$2; shift ;;
    --since) since=$2; shift ;;
    -*) usage ;;
    *) [ -z "$folder" ] || usage; folder=$1 ;;
  esac
  shift
done
[ -n "$folder" ] || usage
[ -n "$keys" ] || keys=$folder
case $entry in *[!0-9]*) usage ;; esac
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# A note is three lines: name of the log, number of entries, root in base64. Sets size and root (hex).
read_note() {
  [ -f "$1" ] || fail "$1 is missing"
  [ "$(wc -l <"$1")" -eq 3 ] && [ -z "$(tail -c 1 "$1" | tr -d '\n')" ] || fail "$1 is not a checkpoint"
  size=$(sed -n 2p "$1")
  case $size in '' | *[!0-9]* | 0?*) fail "$1 is not a checkpoint" ;; esac
  sed -n 3p "$1" | openssl base64 -d -A >"$work/root" 2>/dev/null
  root=$(hex_of "$work/root")
  [ ${#root} -eq 64 ] || fail "$1 is not a checkpoint"
}

hex_of() { od -An -v -tx1 "$1" | tr -d ' \n'; }

# The bytes of a hex text, on standard output.
bytes_of() {
  rest=$1
  while [ -n "$rest" ]; do
    tail=${rest#??}
    # shellcheck disable=SC2059 # the octal escape is the format
    printf "\\$(printf '%03o' "0x${rest%"$tail"}")"
    rest=$tail
  done
}

# Every file of a folder hashed in the order of the names, the raw digests one after another.
digests() { (cd "$1" && ls | xargs openssl dgst -sha256 -binary); }

# The root (hex) over the lines of a file.
root_of() {
  rm -rf "$work/in"; mkdir "$work/in"
  i=100000000
  while IFS= read -r line || [ -n "$line" ]; do
    printf '\000%s' "$line" >"$work/in/$i"
    i=$((i + 1))
  done <"$1"
  digests "$work/in" >"$work/level"
  while [ "$(wc -c <"$work/level")" -gt 32 ]; do
    rm -rf "$work/in" "$work/odd"; mkdir "$work/in"
    # 64 bytes a line: two digests to be joined; a last line of 32 goes up as it is.
    od -An -v -to1 -w64 "$work/level" | sed 's/ /\\/g' | {
      i=100000000
      while read -r pair; do
        # shellcheck disable=SC2059 # the octal escapes are the format
        if [ ${#pair} -eq 256 ]; then printf "\\001$pair" >"$work/in/$i"; else printf "$pair" >"$work/odd"; fi
        i=$((i + 1))
      done
    }
    digests "$work/in" >"$work/next"
    [ ! -f "$work/odd" ] || cat "$work/odd" >>"$work/next"
    mv "$work/next" "$work/level"
  done
  hex_of "$work/level"
}

# The root (hex) that the proof of entry $1 leads to (RFC 9162, section 2.1.3.2).
root_from_proof() {
  { printf '\000'; tr -d '\n' <"$folder/inclusion/$1.json"; } | openssl dgst -sha256 -binary >"$work/hash"
  node=$1 last=$((size - 1))
  while read -r sibling; do
    case $sibling in *[!0-9a-f]*) echo "the proof is not hexadecimal"; return ;; esac
    [ ${#sibling} -eq 64 ] || { echo "the proof is cut"; return; }
    [ "$last" -gt 0 ] || { echo "the proof is too long"; return; }
    if [ $((node % 2)) -eq 1 ] || [ "$node" -eq "$last" ]; then
      { printf '\001'; bytes_of "$sibling"; cat "$work/hash"; } | openssl dgst -sha256 -binary >"$work/up"
      while [ $((node % 2)) -eq 0 ] && [ "$node" -gt 0 ]; do node=$((node / 2)) last=$((last / 2)); done
    else
      { printf '\001'; cat "$work/hash"; bytes_of "$sibling"; } | openssl dgst -sha256 -binary >"$work/up"
    fi
    mv "$work/up" "$work/hash"
    node=$((node / 2)) last=$((last / 2))
  done <"$folder/inclusion/$1.proof"
  if [ "$last" -ne 0 ]; then echo "the proof is too short"; else hex_of "$work/hash"; fi
}

# Entries are one line of printable ASCII each; anything else could hide between the lines.
plain() { [ -z "$(tr -d '\012\040-\176' <"$1" | head -c 1 | od -An -tx1)" ] || fail "$1 holds bytes that no entry has"; }

note=$folder/checkpoint.note
read_note "$note"
openssl dgst -sha256 -verify "$keys/audit-ecdsa-p256.pub.pem" -signature "$folder/checkpoint.ecdsa.sig" "$note" \
  >/dev/null 2>&1 || fail "the ECDSA signature of the checkpoint"
if openssl pkeyutl -help 2>&1 | grep -q rawin; then
  openssl pkeyutl -verify -pubin -inkey "$keys/audit-ed25519.pub.pem" -rawin -in "$note" \
    -sigfile "$folder/checkpoint.ed25519.sig" >/dev/null 2>&1 || fail "the Ed25519 signature of the checkpoint"
  echo "signatures: Ed25519 and ECDSA P-256 are good for $size entries"
else
  echo "signatures: ECDSA P-256 is good for $size entries (this openssl is too old to check Ed25519)"
fi

if [ -n "$entry" ]; then
  [ "$entry" -lt "$size" ] || fail "the signed log has no entry $entry"
  for file in "$folder/inclusion/$entry.json" "$folder/inclusion/$entry.proof"; do
    [ -f "$file" ] || fail "$file is missing"
  done
  plain "$folder/inclusion/$entry.json"
  [ "$(wc -l <"$folder/inclusion/$entry.json")" -le 1 ] || fail "inclusion/$entry.json is more than one entry"
  got=$(root_from_proof "$entry")
  [ "$got" = "$root" ] || fail "INCLUSION of entry $entry: it leads to $got, signed is $root"
  echo "inclusion: entry $entry is in the signed log"
else
  [ -f "$folder/audit.jsonl" ] || fail "$folder/audit.jsonl is missing"
  plain "$folder/audit.jsonl"
  count=$(wc -l <"$folder/audit.jsonl")
  [ "$count" -eq "$size" ] || fail "audit.jsonl has $((count)) entries, signed are $size"
  got=$(root_of "$folder/audit.jsonl")
  [ "$got" = "$root" ] || fail "ROOT: the entries give $got, signed is $root"
  echo "root: the $size entries are those that were signed"
fi

if [ -n "$since" ]; then
  [ -z "$entry" ] || usage
  new=$size
  read_note "$since"
  [ "$size" -le "$new" ] || fail "CONTINUITY: the older checkpoint has more entries ($size)"
  [ "$(sed -n 1p "$since")" = "$(sed -n 1p "$note")" ] || fail "CONTINUITY: the older checkpoint is of another log"
  head -n "$size" "$folder/audit.jsonl" >"$work/first"
  got=$(root_of "$work/first")
  [ "$got" = "$root" ] || fail "CONTINUITY: the first $size entries were changed since"
  echo "continuity: the log begins with the $size entries of the older checkpoint"
fi
echo "OK"
