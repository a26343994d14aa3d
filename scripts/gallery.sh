#!/usr/bin/env bash
# Runs the gallery of reported failures under `hotfire exec` and says of each what was told: right,
# wrong, unknown, or not run.
#
#   scripts/gallery.sh [CASE…]        these cases, or all (the first time: hours, several GB)
#   scripts/gallery.sh --light        what a CI machine takes: minutes, small packages
#   scripts/gallery.sh --table        all, and docs/gallery.md from them
#   scripts/gallery.sh --wild [CASE…] those of wild/ instead; with --table docs/wild.md
#
# The cases lie in ../shared/gallery, or where HOTFIRE_GALLERY says; what they need is installed
# into .cache/gallery, what they did is in .cache/gallery/logs.
# Exit status: 0 none is wrong, and no more are unknown than in docs/gallery.md; 1 otherwise;
# 2 usage; 96 set-up.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p hotfire || {
    printf 'error: hotfire could not be built\n  help: cargo build --release -p hotfire\n' >&2
    exit 96
}
exec python3 -B scripts/gallery/main.py "${CARGO_TARGET_DIR:-target}/release/hotfire" "$@"
