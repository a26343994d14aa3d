#!/usr/bin/env bash
# Benchmarks: each prints one table, with all rivals measured in the same run.
#
#   scripts/bench.sh isolation [ROUNDS]    what a child of its own costs (default: 5 rounds)
#
# Exit status: 0 measured, whether the aims are met or missed; 2 usage; 96 set-up.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${CARGO_TARGET_DIR:-$PWD/target}

set_up_failed() { # MESSAGE HELP
    printf 'error: %s\n  help: %s\n' "$1" "$2" >&2
    exit 96
}

isolation() {
    local tool
    for tool in gcc python3; do
        command -v "$tool" >/dev/null || set_up_failed "$tool is not installed" "apt-get install $tool"
    done
    cargo build --release --quiet || set_up_failed "hotfire does not build" "cargo build --release"
    mkdir -p "$build/bench"
    gcc -O2 -Wall -Wextra -Werror -o "$build/bench/children" scripts/bench/children.c
    python3 scripts/bench/isolation.py "$@"
}

case ${1:-} in
isolation)
    shift
    isolation "$@"
    ;;
*)
    printf 'usage: scripts/bench.sh isolation [ROUNDS]\n' >&2
    exit 2
    ;;
esac
