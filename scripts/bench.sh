#!/usr/bin/env bash
# Benchmarks: each prints one table, with all rivals measured in the same run.
#
#   scripts/bench.sh isolation [ROUNDS]    what a child of its own costs (default: 5 rounds)
#   scripts/bench.sh backtrace [ROUNDS]    from a signal to the stacks of all threads (default: 7)
#   scripts/bench.sh signatures [ROUNDS]   crashing runs per second (default: 5)
#   scripts/bench.sh exec [ROUNDS]         what `hotfire exec` costs a healthy program (default: 7)
#
# `backtrace` fetches ONNX Runtime's library once (scripts/fetch-engines.sh).
# Exit status: 0 measured, whether the aims are met or missed; 2 usage; 96 set-up.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${CARGO_TARGET_DIR:-$PWD/target}

set_up_failed() { # MESSAGE HELP
    printf 'error: %s\n  help: %s\n' "$1" "$2" >&2
    exit 96
}

need() { # TOOL PACKAGE
    command -v "$1" >/dev/null || set_up_failed "$1 is not installed" "apt-get install $2"
}

compile() { # SOURCE NAME ARGUMENTS…
    local source=$1 name=$2
    shift 2
    mkdir -p "$build/bench"
    gcc -O2 -o "$build/bench/$name" "$source" "$@"
}

prepare() { # the tools that all parts need, and hotfire itself
    need gcc gcc
    need python3 python3
    cargo build --release --quiet || set_up_failed "hotfire does not build" "cargo build --release"
}

isolation() {
    prepare
    compile scripts/bench/children.c children -Wall -Wextra -Werror
    python3 scripts/bench/isolation.py "$@"
}

backtrace() {
    need gdb gdb
    need eu-stack elfutils
    scripts/fetch-engines.sh onnxruntime
    prepare
    cargo build --release --quiet -p hotfire-core --example stacks ||
        set_up_failed "the example does not build" "cargo build --release -p hotfire-core --example stacks"
    compile scripts/big-library.c big-library -ldl '-Wl,-rpath,$ORIGIN'
    local library
    library=$(ls "$PWD"/.cache/engines/onnxruntime/libonnxruntime.so.*)
    ln -sf "$library" "$build/bench/libbig.so"
    HOTFIRE_ONNXRUNTIME=$library python3 scripts/bench/backtrace.py "$@"
}

signatures() {
    prepare
    python3 scripts/bench/signatures.py "$@"
}

exec_overhead() {
    prepare
    compile scripts/bench/work.c work -Wall -Wextra -Werror -pthread
    python3 scripts/bench/exec.py "$@"
}

part=${1:-}
[ $# -eq 0 ] || shift
case $part in
isolation | backtrace | signatures)
    "$part" "$@"
    ;;
exec)
    exec_overhead "$@"
    ;;
*)
    printf 'usage: scripts/bench.sh isolation|backtrace|signatures|exec [ROUNDS]\n' >&2
    exit 2
    ;;
esac
