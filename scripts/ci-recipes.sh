#!/usr/bin/env bash
# Runs the steps of the recipes in docs/ci.md, as they stand there, in a scratch repository with one
# scenario: a healthy engine, a new crash, the same crash known, expired, and fixed. Shows that the
# job turns red or stays green as it should, and what GitHub and GitLab get to show.
#
#   scripts/ci-recipes.sh [HOTFIRE]     default: the release build
#
# Instead of `cargo install`, the given command is on the path. What no machine but theirs can run
# (checkout, cache, upload) is not run.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
build=${CARGO_TARGET_DIR:-$PWD/target}
hotfire=$(realpath "${1:-$build/release/hotfire}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/steps"
ln -s "$hotfire" "$work/bin/hotfire"
today=$(date -u +%F)
future=$(date -u -d '+30 days' +%F)
past=$(date -u -d '-30 days' +%F)

fail() { # MESSAGE [FILE…]
    printf 'error: %s\n' "$1" >&2
    shift
    [ $# = 0 ] || tail -n 60 "$@" >&2
    exit 1
}

# The shell steps of both recipes: github-1.sh, github-2.sh, …, gitlab-1.sh.
extract_steps() {
    python3 - "$root/docs/ci.md" "$work/steps" <<'PYTHON'
import re, sys

text, folder = open(sys.argv[1]).read(), sys.argv[2]

def block(heading):
    part = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)
    [yaml] = re.findall(r"^```yaml\n(.*?)^```", part, re.S | re.M)
    try:
        import yaml as parser
        parser.safe_load(yaml)
    except ImportError:
        print(f"SKIP ci-recipes-yaml-{heading}: no PyYAML; help: apt-get install python3-yaml")
    return yaml.splitlines()

def below(lines, at):
    """The lines behind a key that are deeper than it, without their indent."""
    depth = lambda line: len(line) - len(line.lstrip())
    body = []
    for line in lines[at + 1:]:
        if line.strip() and depth(line) <= depth(lines[at]):
            break
        body.append(line)
    indent = min(depth(line) for line in body if line.strip())
    return [line[indent:] for line in body]

github = block("GitHub")
steps = [below(github, at) for at, line in enumerate(github) if line.strip() == "run: |"]
# A `run` in another form would not be seen.
assert len(steps) == sum(line.strip().removeprefix("- ").startswith("run:") for line in github)
gitlab = block("GitLab")
[at] = [at for at, line in enumerate(gitlab) if line.strip() == "script:"]
script = [line.removeprefix("- ") for line in below(gitlab, at)]
assert len(steps) == 2 and len(script) == 3, (steps, script)
for number, step in enumerate(steps, 1):
    open(f"{folder}/github-{number}.sh", "w").write("\n".join(step) + "\n")
open(f"{folder}/gitlab-1.sh", "w").write("\n".join(script) + "\n")
PYTHON
}

# A repository with one lifecycle of the engine.
new_repository() { # FOLDER
    mkdir -p "$1/scenarios"
    git -C "$1" init -q
    set_engine "$1" reference
}

set_engine() { # FOLDER ENGINE
    printf '%s\n' 'name = "drop"' 'summary = "an engine is dropped with its model"' 'lifecycle = "load"' \
        "engine = \"$2\"" "plans = ['create a = ENGINE; load a tiny; drop a; exit']" >"$1/scenarios/drop.toml"
}

# Runs a job's steps until one fails, as the runner does. Its log is FOLDER.log; prints its status.
run_job() { # KIND FOLDER
    local step status=0 environment
    : >"$2.log"
    rm -rf "$2.summary" "$2/junit.xml" "$2/.hotfire"
    for step in "$work/steps/$1"-*.sh; do
        environment=(PATH="$work/bin:$PATH" HOME="$work" CI=true)
        if [ "$1" = github ]; then
            environment+=(GITHUB_ACTIONS=true GITHUB_WORKSPACE="$2" GITHUB_STEP_SUMMARY="$2.summary")
        else
            environment+=(GITLAB_CI=true CI_PROJECT_DIR="$2")
        fi
        status=0
        (cd "$2" && env -i "${environment[@]}" bash --noprofile --norc -eo pipefail "$step") >>"$2.log" 2>&1 || status=$?
        [ "$status" = 0 ] || break
    done
    printf '%d' "$status"
}

# What a job must show: its status, and in which reports which words stand.
expect() { # KIND NAME STATUS
    local status
    status=$(run_job "$1" "$work/$1")
    [ "$status" = "$3" ] || fail "$1, $2: status $status instead of $3" "$work/$1.log"
    python3 -c 'import sys, xml.etree.ElementTree as tree; tree.parse(sys.argv[1])' "$work/$1/junit.xml" ||
        fail "$1, $2: the JUnit report is no XML" "$work/$1/junit.xml"
    if command -v xmllint >/dev/null; then
        xmllint --noout --nonet --schema "$root/harness/cli/tests/fixtures/junit.xsd" "$work/$1/junit.xml" 2>"$work/xmllint" ||
            fail "$1, $2: the JUnit report is not valid" "$work/xmllint"
    fi
    printf '%-6s %-22s %s\n' "$1" "$2" "$([ "$status" = 0 ] && echo green || echo "red ($status)")"
}

holds() { # FILE PATTERN
    grep -qE -- "$2" "$1" || fail "no line of $(basename "$1") is like $2" "$1"
}

lacks() { # FILE PATTERN
    ! grep -qE -- "$2" "$1" || fail "a line of $(basename "$1") is like $2" "$1"
}

accept() { # FOLDER
    (cd "$1" && "$hotfire" accept all-new --issue https://example.org/issues/7 --owner ada --expires "$future") \
        >"$work/accept.log" 2>&1 || fail "accept does not work" "$work/accept.log"
}

lifecycle() { # KIND
    local folder=$work/$1 junit=$work/$1/junit.xml baseline=$work/$1/.config/hotfire-baseline.toml
    new_repository "$folder"
    expect "$1" healthy 0
    lacks "$junit" '<(failure|error|skipped)'
    on_github "$1" '^## Hotfire passed' ''

    set_engine "$folder" reference:defect=cleanup-order
    expect "$1" "a new crash" 100
    holds "$junit" '<failure message=.* type="SIGSEGV/'
    [ -d "$folder/.hotfire/findings" ] || fail "$1: there is nothing to upload"
    on_github "$1" '^\| SIGSEGV \| drop \| ' '^::error file=scenarios/drop.toml,line=5,title=SIGSEGV%3A drop::'

    accept "$folder"
    expect "$1" "known until $future" 0
    holds "$junit" '<skipped message="KNOWN: https://example.org/issues/7 \(owner ada, until '"$future"
    on_github "$1" '^\| KNOWN SIGSEGV \| drop \| https://example.org/issues/7 ' '^::warning file=scenarios/drop.toml,line=5,title=KNOWN SIGSEGV%3A drop::'
    lacks "$work/$1.log" '^::error'

    sed -i "s/$future/$past/" "$baseline"
    expect "$1" "expired on $past" 100
    holds "$junit" '<failure message="EXPIRED SIGSEGV: https://example.org/issues/7'
    on_github "$1" '^\| EXPIRED SIGSEGV \| drop \| ' '^::error file=scenarios/drop.toml,line=5,title=EXPIRED SIGSEGV%3A drop::'

    sed -i "s/$past/$future/" "$baseline"
    set_engine "$folder" reference
    expect "$1" "fixed, still listed" 100
    holds "$junit" '<failure message="FIXED: '
    on_github "$1" '^\| FIXED: ' '^::error file=.config/hotfire-baseline.toml,line=[0-9]+,title=Baseline%3A drop::FIXED: '

    # Without the profile for CI it is told, and green.
    sed -i 's/ --profile ci//' "$work/steps/$1"-*.sh
    expect "$1" "fixed, default profile" 0
    holds "$junit" '<skipped message="FIXED: '
    on_github "$1" '^\| FIXED: ' '^::notice file=.config/hotfire-baseline.toml,line=[0-9]+,title=Baseline%3A drop::FIXED: '

    rm "$baseline"
    expect "$1" "removed from the list" 0
    lacks "$junit" '<(failure|error|skipped)'
}

on_github() { # KIND SUMMARY-PATTERN ANNOTATION-PATTERN
    [ "$1" = github ] || return 0
    holds "$work/$1.summary" "$2"
    if [ -n "$3" ]; then holds "$work/$1.log" "$3"; else lacks "$work/$1.log" '^::'; fi
}

[ -x "$hotfire" ] || fail "there is no $hotfire: cargo build --release"
command -v xmllint >/dev/null || printf 'SKIP ci-recipes-schema: no xmllint; help: apt-get install libxml2-utils\n'
printf 'recipes of docs/ci.md on %s\n' "$today"
extract_steps
lifecycle github
lifecycle gitlab
