#!/usr/bin/env bash
# The counts that acceptance asks for: every defect caught, the healthy engine silent, nothing
# left after SIGKILL. Prints a Markdown table; the exit status is 1 when a bound is missed.
#
#   scripts/acceptance.sh            20 campaigns each (100 on a busy machine), 50 kills each (about half an hour)
#   scripts/acceptance.sh --quick    one seed each, for CI
#   scripts/acceptance.sh --write    the full counts, and docs/acceptance.md from them
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p hotfire
exec python3 -B scripts/acceptance/main.py "${CARGO_TARGET_DIR:-target}/release/hotfire" "$@"
