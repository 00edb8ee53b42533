#!/bin/sh
# Installs the gateway on a Raspberry Pi or industrial PC with Debian 12 (or newer): own user, own environment per version,
# sandboxed service. Safe to run again: it does what is missing and says so.
set -eu

OPT=/opt/evercount
CONFIG=/etc/evercount/gateway.toml
STATE=/var/lib/evercount
UNIT=evercount-gateway.service
GATE=evercount-health-gate.service
# There while a new version proves itself; holds its name.
PENDING=$OPT/pending
# Seconds that a new version has to stay healthy, and between two looks.
GATE_S=${EVERCOUNT_GATE_S:-900}
LOOK_S=${EVERCOUNT_GATE_LOOK_S:-10}
# Seconds without being active (restarts included) after which it is not healthy: a migration asks for its time itself.
DOWN_S=${EVERCOUNT_GATE_DOWN_S:-180}
# Restarts that are forgiven: one may be somebody's kill.
RESTARTS=1

usage() {
    cat >&2 <<'TEXT'
usage: install.sh VERB            (as root; install and upgrade from the unpacked source of the version)
  install             user, folders, environment, service; an existing configuration and ledger stay as they are
  upgrade             this version beside the present one; after 15 healthy minutes it stays, else both go back
  rollback            back to the version before, package and database together
  status              which versions are there, and what runs
  uninstall           take program and service away; configuration and ledger stay
  uninstall --purge   take configuration and LEDGER away as well
TEXT
    exit 2
}

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
misuse() { printf 'install: %s\n' "$*" >&2; exit 2; }

managed() { [ -d /run/systemd/system ]; }
manage() {
    if managed; then systemctl "$@"; else say "systemd does not run here, skipped: systemctl $*"; fi
}

# The version that a link in $OPT points to; nothing where there is none.
version_at() { if [ -L "$OPT/$1" ]; then basename "$(readlink "$OPT/$1")"; fi; }

# Let the link $1 point to version $2 in one step: a power cut leaves the old or the new one.
point() {
    ln -sfn "$2" "$OPT/$1.new"
    mv -T "$OPT/$1.new" "$OPT/$1"
    sync -f "$OPT"
}

# The unpacked source that this script lies in.
source_folder() {
    root=$(cd "$(dirname "$0")/.." && pwd)
    [ -f "$root/pyproject.toml" ] && [ -f "$root/requirements/gateway.txt" ] || misuse "run it from the unpacked source of the version to install, as systemd/install.sh"
    printf '%s\n' "$root"
}

# version-DIGEST: the same source has the same name, another one gets a place of its own.
version_of() {
    number=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$1/pyproject.toml")
    digest=$(cd "$1" && find pyproject.toml requirements/gateway.txt requirements/build.txt systemd runtime vocabulary gateway cloud demo \
        \( -name __pycache__ -o -path demo/run -o -path demo/sites/var \) -prune -o -type f -print | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-8)
    printf '%s-%s\n' "$number" "$digest"
}

system_packages() {
    missing=
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${Status}' "$name" 2>/dev/null)" = "install ok installed" ] || missing="$missing $name"
    done
    [ -n "$missing" ] || return 0
    say "installing Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    # shellcheck disable=SC2086
    apt-get -qq -y install --no-install-recommends $missing >/dev/null
}

# Build the environment of the source $1 as version $2; one that was not finished is begun anew.
build() {
    env=$OPT/$2
    [ -f "$env/complete" ] && { say "version $2 is already there"; return 0; }
    system_packages python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$(python3 --version) is too old; Python 3.11 or newer is needed (Debian 12)"
    say "building version $2 in $env"
    rm -rf "$env"
    mkdir -p "$OPT"
    python3 -m venv "$env"
    pip() { "$env/bin/python" -m pip -q --disable-pip-version-check --no-input install --no-cache-dir "$@"; }
    pip --require-hashes --only-binary :all: -r "$1/requirements/build.txt"
    pip --require-hashes --only-binary :all: -r "$1/requirements/gateway.txt"
    draft=$(mktemp -d)
    cp -r "$1/pyproject.toml" "$1/README.md" "$1/LICENSE" "$1/runtime" "$1/vocabulary" "$1/gateway" "$1/cloud" "$1/demo" "$draft/"
    rm -rf "$draft/demo/run" "$draft/demo/sites/var"
    pip --no-deps --no-build-isolation --no-index "$draft"
    rm -rf "$draft"
    mkdir -p "$env/share/doc/evercount" "$env/share/evercount"
    cp "$1"/docs/*.md "$env/share/doc/evercount/"
    cp "$1"/systemd/* "$env/share/evercount/"
    "$env/bin/evercount-gateway" --help >/dev/null
    sync -f "$env"
    touch "$env/complete"
}

# Put the files of version $1 where the system looks for them.
place() {
    from=$OPT/$1/share/evercount
    install -d -m 755 "$OPT/bin" /etc/systemd/system /etc/udev/rules.d /etc/tmpfiles.d /etc/sysusers.d /usr/local/bin
    install -m 755 "$from/install.sh" "$OPT/bin/evercount-install.new"
    mv "$OPT/bin/evercount-install.new" "$OPT/bin/evercount-install"
    install -m 644 "$from/gateway.service" "/etc/systemd/system/$UNIT"
    install -m 644 "$from/health-gate.service" "/etc/systemd/system/$GATE"
    install -m 644 "$from/udev.rules" /etc/udev/rules.d/70-evercount.rules
    install -m 644 "$from/tmpfiles.conf" /etc/tmpfiles.d/evercount.conf
    install -m 644 "$from/sysusers.conf" /etc/sysusers.d/evercount.conf
    ln -sfn "$OPT/current/bin/evercount-gateway" /usr/local/bin/evercount-gateway
    ln -sfn "$OPT/bin/evercount-install" /usr/local/bin/evercount-install
    manage daemon-reload
    if managed && command -v udevadm >/dev/null; then udevadm control --reload && udevadm trigger --subsystem-match=tty --subsystem-match=video4linux; fi
}

user_and_folders() {
    if ! getent passwd evercount >/dev/null; then
        say "making the user evercount"
        useradd --system --user-group --home-dir "$STATE" --shell /usr/sbin/nologin --comment "Evercount gateway" evercount
    fi
    for group in dialout video; do
        if getent group "$group" >/dev/null; then usermod -aG "$group" evercount; fi
    done
    install -d -m 755 /etc/evercount
    install -d -m 750 -o evercount -g evercount "$STATE"
}

# The schema of the ledger that is there, and the newest that version $1 can read.
ledger_schema() {
    "$OPT/current/bin/python" -c 'import sqlite3, sys
print(sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute("PRAGMA user_version").fetchone()[0])' "$STATE/ledger.db"
}
known_schema() {
    "$OPT/$1/bin/python" -c 'from gateway.ledger.migrate import versions; print(versions()[-1][0])'
}

do_install() {
    root=$(source_folder)
    version=$(version_of "$root")
    present=$(version_at current)
    [ -z "$present" ] || [ "$present" = "$version" ] || misuse "version $present is installed; use the verb upgrade for $version"
    build "$root" "$version"
    user_and_folders
    if ! [ -f "$CONFIG" ]; then
        say "writing an example configuration: $CONFIG"
        install -m 640 -o root -g evercount "$root/systemd/gateway.toml" "$CONFIG"
    fi
    point current "$version"
    place "$version"
    "$OPT/current/bin/evercount-gateway" check-config "$CONFIG"
    manage enable "$UNIT"
    say "version $version is installed. Next: edit $CONFIG, enrol (docs/install.md), then: systemctl start $UNIT"
}

do_upgrade() {
    root=$(source_folder)
    version=$(version_of "$root")
    present=$(version_at current)
    [ -n "$present" ] || misuse "nothing is installed; use the verb install"
    [ "$present" != "$version" ] || { say "version $version is installed already"; exit 0; }
    ! [ -f "$PENDING" ] || misuse "version $present is still in its first minutes; wait for it, or use the verb rollback"
    build "$root" "$version"
    "$OPT/$version/bin/evercount-gateway" check-config "$CONFIG" || fail "version $version cannot use $CONFIG; nothing was changed"
    ran=no
    if managed && systemctl -q is-active "$UNIT"; then ran=yes; fi
    manage stop "$UNIT"
    point previous "$present"
    [ "$ran" = no ] || { printf '%s\n' "$version" >"$PENDING"; sync -f "$PENDING"; }
    point current "$version"
    place "$version"
    say "version $present gave way to $version; the ledger is migrated on a copy when it starts"
    if [ "$ran" = yes ]; then
        systemctl enable "$GATE"
        systemctl start --no-block "$UNIT"
        systemctl restart "$GATE"
        say "it has $((GATE_S / 60)) minutes to prove healthy: journalctl -fu $GATE"
    else
        say "the gateway did not run, so nothing was started and nothing is watched"
    fi
    keep_two
}

# Delete the environments of versions that are neither present nor previous.
keep_two() {
    for folder in "$OPT"/*/; do
        name=$(basename "$folder")
        case "$name" in bin | current | previous | "$(version_at current)" | "$(version_at previous)") continue ;; esac
        say "removing version $name"
        rm -rf "${OPT:?}/$name"
    done
}

do_rollback() {
    present=$(version_at current)
    previous=$(version_at previous)
    [ -n "$previous" ] && [ "$previous" != "$present" ] || misuse "there is no version to go back to"
    [ -f "$OPT/$previous/complete" ] || fail "version $previous is not there any more; install it from its source"
    manage stop "$UNIT"
    while [ -f "$STATE/ledger.db" ] && [ "$(ledger_schema)" -gt "$(known_schema "$previous")" ]; do
        if ! "$OPT/current/bin/evercount-gateway" rollback-ledger --config "$CONFIG"; then
            rm -f "$PENDING"
            manage start --no-block "$UNIT"
            fail "the ledger cannot go back, so version $present stays; nothing is lost"
        fi
    done
    point current "$previous"
    rm -f "$PENDING" "$OPT/previous"
    place "$previous"
    manage disable "$GATE"
    manage start --no-block "$UNIT"
    say "version $present gave way to $previous again"
}

# What systemd knows of the gateway, one property.
property() { systemctl show --property "$1" --value "$UNIT"; }

do_gate() {
    [ -f "$PENDING" ] || misuse "no new version is being watched"
    managed || misuse "systemd does not run here, so there is nothing to watch"
    version=$(version_at current)
    from=$(property NRestarts)
    passed=0 down=0
    while [ "$passed" -lt "$GATE_S" ]; do
        sleep "$LOOK_S"
        passed=$((passed + LOOK_S))
        [ -f "$PENDING" ] || { say "somebody decided already"; exit 0; }
        state=$(property ActiveState)/$(property SubState)
        case "$state" in
        active/running | activating/start) down=0 ;;
        *) down=$((down + LOOK_S)) ;;
        esac
        restarts=$(($(property NRestarts) - from))
        if [ "$restarts" -gt "$RESTARTS" ] || [ "$down" -ge "$DOWN_S" ]; then
            say "version $version is not healthy after $passed s: $state, $restarts restarts; going back"
            do_rollback
            exit 1
        fi
    done
    [ "$(property ActiveState)" = active ] || { say "version $version never became ready; going back"; do_rollback; exit 1; }
    rm -f "$PENDING"
    manage disable "$GATE"
    say "version $version is healthy and stays"
}

do_status() {
    say "present $(version_at current), previous $(version_at previous)"
    ! [ -f "$PENDING" ] || say "the present one is in its first minutes, and watched"
    manage --no-pager status "$UNIT" || true
}

do_uninstall() {
    case "${1:-}" in '' | --purge) ;; *) usage ;; esac
    manage disable --now "$UNIT" "$GATE" || true
    rm -f "/etc/systemd/system/$UNIT" "/etc/systemd/system/$GATE" /etc/udev/rules.d/70-evercount.rules \
        /etc/tmpfiles.d/evercount.conf /etc/sysusers.d/evercount.conf /usr/local/bin/evercount-gateway /usr/local/bin/evercount-install
    rm -rf "$OPT"
    manage daemon-reload
    if [ "${1:-}" = --purge ]; then
        rm -rf /etc/evercount "$STATE"
        if getent passwd evercount >/dev/null; then userdel evercount; fi
        say "program, configuration and ledger are gone"
    else
        say "the program is gone; configuration (/etc/evercount) and ledger ($STATE) are still there"
    fi
}

verb=${1:-}
[ -n "$verb" ] && shift
case "$verb" in
install | upgrade | rollback | gate | status) [ $# = 0 ] || usage ;;
uninstall) ;;
*) usage ;;
esac
[ "$(id -u)" = 0 ] || misuse "must be run as root: sudo $0 $verb"
"do_$verb" "$@"
