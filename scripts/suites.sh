#!/usr/bin/env bash
# Runs the test suites of published packages with native code, bare and under `hotfire exec`: there
# must be no finding, and the same results.
#
#   scripts/suites.sh [SUITE…]   these, or all; what they need is installed into .cache/suites
#   scripts/suites.sh --table    all, and the table in docs/suites.md
#
# Exit status: 0 silent and the same; 1 a finding or another result; 2 usage; 96 set-up.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p hotfire || {
    printf 'error: hotfire could not be built\n  help: cargo build --release -p hotfire\n' >&2
    exit 96
}
exec python3 -B scripts/suites/main.py "${CARGO_TARGET_DIR:-target}/release/hotfire" "$@"
