#!/usr/bin/env bash
# All tests, on a machine with Rust, gcc, Python 3 and npm: installs what else they need, runs each
# stage in turn, stops at the first red one, and ends with a table of stages. What can't run here
# is listed as SKIP, by name, with its reason.
#
#   scripts/test.sh
#
# What is built or fetched lies in the ignored folders target and .cache.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TERM_COLOR=never
build=${CARGO_TARGET_DIR:-$PWD/target}
logs=$build/test-logs
hotfire=$build/release/hotfire
mkdir -p "$logs"
rows=()
skips=()
tests_line=

has() { command -v "$1" >/dev/null 2>&1; }

skip() { # NAME REASON
    skips+=("SKIP $1: $2")
    printf 'SKIP %s: %s\n' "$1" "$2"
}

summary() {
    printf '\n-- summary --\n'
    printf '%s\n' "${rows[@]}" ${skips[@]+"${skips[@]}"}
    [ -z "$tests_line" ] || printf '%s\n' "$tests_line"
}

# Runs a stage; its output goes to the terminal and to a file. Lines `SKIP NAME: REASON` that a
# stage prints stand in the summary, too.
stage() { # NAME COMMAND…
    local name=$1 begun=$SECONDS status=0 line
    shift
    printf '\n== %s\n' "$name"
    # Not `stage || …`: bash would ignore errors inside of the stage.
    set +e
    (
        set -e
        "$@"
    ) 2>&1 | tee "$logs/$name.log"
    status=${PIPESTATUS[0]}
    set -e
    while IFS= read -r line; do skips+=("$line"); done \
        < <(grep -E '^SKIP [^ ]+: ' "$logs/$name.log" || true)
    if [ "$status" = 0 ]; then
        rows+=("$(printf 'PASS %-12s %4d s' "$name" $((SECONDS - begun)))")
        return
    fi
    rows+=("$(printf 'FAIL %-12s %4d s   exit status %d' "$name" $((SECONDS - begun)) "$status")")
    summary
    printf '\nerror: the stage %s failed\n  help: its output: %s\n' "$name" "$logs/$name.log" >&2
    exit 1
}

# --- what must be installed

# Each tool that is missing, installed from its Debian package.
install_tools() {
    local tool package packages=() root=()
    for tool in gcc:gcc g++:g++ gdb:gdb python3:python3 npm:npm curl:curl xmllint:libxml2-utils; do
        package=${tool#*:}
        has "${tool%%:*}" || packages+=("$package")
    done
    python3 -c 'import yaml' 2>/dev/null || packages+=(python3-yaml)
    python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
    if [ ${#packages[@]} -gt 0 ]; then
        has apt-get || { printf 'error: missing: %s, and there is no apt-get\n' "${packages[*]}"; return 1; }
        if [ "$(id -u)" != 0 ]; then
            has sudo && sudo -n true 2>/dev/null || {
                printf 'error: missing: %s\n  help: as root: apt-get install %s\n' "${packages[*]}" "${packages[*]}"
                return 1
            }
            root=(sudo -n)
        fi
        ${root[@]+"${root[@]}"} apt-get update -q
        ${root[@]+"${root[@]}"} env DEBIAN_FRONTEND=noninteractive \
            apt-get install -q -y --no-install-recommends "${packages[@]}"
    fi
    install_rust_parts
    printf 'tools: %s; %s; gdb %s\n' "$(rustc --version)" "$(g++ --version | head -n1)" \
        "$(gdb --version | head -n1 | grep -oE '[0-9.]+$')"
}

# rustfmt and clippy must be there; a nightly compiler serves the address sanitizer alone, which
# is skipped without it.
install_rust_parts() {
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    if has rustup && ! rustc +nightly --version >/dev/null 2>&1; then
        timeout 300 rustup toolchain install nightly --profile minimal --no-self-update ||
            printf 'no nightly compiler could be installed\n'
    fi
}

# --- stages of more than one command

# Where the network is closed, the tests of real engines are skipped; where the engines are here,
# none may be.
fetch_engines() {
    local engine
    for engine in llama onnxruntime; do
        if scripts/fetch-engines.sh $engine >"$logs/fetch.log" 2>&1; then
            cat "$logs/fetch.log"
            continue
        fi
        cat "$logs/fetch.log"
        printf 'SKIP engine-%s: %s\n' $engine "$(grep -m1 '^error: ' "$logs/fetch.log" || tail -n1 "$logs/fetch.log")"
    done
}

run_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --profile ci --no-fail-fast
    else
        printf 'cargo-nextest is not installed: cargo test, one test at a time\n'
        # Tests that share a process share its children and its signals.
        cargo test --workspace --all-targets --no-fail-fast -- --test-threads=1
    fi
}

document() { RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps; }

build_release() { cargo build --release; }

# A stand that doesn't see a death would pass everything: the canary dies on purpose. It must be
# caught, and where nobody expects its death it must be red.
hold_canary() {
    local status=0
    "$hotfire" run canary --json "$logs/canary.json" --out "$logs/findings" || status=$?
    [ "$status" = 0 ] || { printf 'error: the canary ended with status %d instead of 0\n' "$status"; return 1; }
    python3 - "$logs/canary.json" <<'PYTHON' || return 1
import json, sys
report = json.load(open(sys.argv[1]))
results = [[result[key] for key in ("scenario", "status", "verdict")] for result in report["results"]]
expected = [["canary", result["expected"], "as-expected"] for result in report["results"]]
if len(results) != 1 or results != expected or results[0][1] == "PASS" or not report["findings"]:
    sys.exit(f"error: the canary was not caught: {results}, expected {expected}")
print(f"the canary was caught: {results[0][1]}")
PYTHON
    sed '/^\[expect\]/,$d; s/^name = .*/name = "canary-unexpected"/' scenarios/canary.toml \
        >"$logs/canary-unexpected.toml"
    "$hotfire" run "$logs/canary-unexpected.toml" --out "$logs/findings" || status=$?
    [ "$status" = 100 ] || {
        printf 'error: an unexpected death ended with status %d instead of 100\n' "$status"
        return 1
    }
}

# Real failures of published packages: those that take minutes and little to install. A case whose
# packages can't be had is skipped by name; one that is told wrong makes the stage red.
run_gallery() { scripts/gallery.sh --light; }

run_scenarios() { "$hotfire" run --out "$logs/findings" --json "$logs/run.json"; }

# The tests that were reported as ignored, by name, and the last line of the report.
read_test_log() {
    local name
    while IFS= read -r name; do
        [[ $name != *tree-gallery ]] || continue # named above, with its reason
        skips+=("SKIP $name: reported as ignored; see the skipped engines")
    done < <(sed -nE 's/^ +SKIP \[[^]]*\] *(\([^)]*\) *)?//p; s/^test (.*[^ ]) +\.\.\. ignored.*/\1/p' \
        "$logs/tests.log" | sort -u)
    tests_line=$(grep -E '^ +Summary \[' "$logs/tests.log" | tail -n1 || true)
    if [ -z "$tests_line" ]; then
        tests_line=$(awk '/^test result: / { passed += $4; ignored += $8 }
            END { printf "     Summary cargo test: %d passed, %d ignored", passed, ignored }' "$logs/tests.log")
    fi
}

# --- the stages

stage tools install_tools
stage format cargo fmt --all --check
stage clippy cargo clippy --workspace --all-targets -- -D warnings
stage build cargo build --workspace
stage engines fetch_engines
unset HOTFIRE_REQUIRE_ENGINES
grep -q '^SKIP ' "$logs/engines.log" || export HOTFIRE_REQUIRE_ENGINES=1
for library in "$PWD"/.cache/engines/onnxruntime/libonnxruntime.so.*; do
    [ ! -f "$library" ] || export HOTFIRE_BIG_LIBRARY=$library
done
no_gallery="the gallery of reported failures is not beside this checkout"
[ -d ../shared/gallery ] || skip tree-gallery "$no_gallery"
stage tests run_tests
read_test_log
stage doctests cargo test --workspace --doc
stage document document
stage scripts python3 -B -m unittest discover -s scripts/gallery
stage suites-runner python3 -B -m unittest discover -s scripts/suites
stage sanitize scripts/sanitize.sh
stage release build_release
stage canary hold_canary
stage scenarios run_scenarios
if [ -f ../shared/gallery/expect.json ]; then
    stage gallery run_gallery
else
    skip gallery-light "$no_gallery"
fi
stage ci-recipes scripts/ci-recipes.sh "$hotfire"
if [ -x scripts/acceptance.sh ]; then
    stage acceptance scripts/acceptance.sh --quick
fi
summary
printf '\nall stages passed in %d s\n' "$SECONDS"
