#!/bin/sh
# Checks the units without running them: systemd-analyze verify, and the exposure score of each service. Needs no systemd
# as PID 1. Prints `NAME SCORE` for each service that stays running.
set -eu
cd "$(dirname "$0")"
# Tenths: the highest exposure score that is accepted.
THRESHOLD=20

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for name in gateway cloud health-gate; do
    unit=$folder/evercount-$name.service
    # the programs are not installed here
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/true|' "$name.service" >"$unit"
    said=$(systemd-analyze verify --man=no "$unit" 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
    # verify exits 0 for what it only ignores, such as a misspelt option
    ! printf '%s\n' "$said" | grep -F "evercount-$name.service" >&2 || exit 1
    [ "$name" != health-gate ] || continue
    table=$(systemd-analyze security --no-pager --offline=true --threshold=$THRESHOLD "$unit") || { printf '%s\n' "$table" >&2; exit 1; }
    printf 'evercount-%s.service: exposure %s\n' "$name" "$(printf '%s\n' "$table" | sed -n 's/^.*Overall exposure level.*: \([0-9.]*\) .*$/\1/p')"
done
for script in install.sh check.sh; do sh -n "$script"; done
echo "install.sh: syntax is good"
