"""The acceptance counts, as a Markdown table; see scripts/acceptance.sh.

Deliberately absent: retries. A campaign that missed is counted, and told with its command.
"""

import argparse
import datetime
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import campaigns
import kills
from row import Row, table

DOCUMENT = pathlib.Path("docs/acceptance.md")
HEAD = """\
# Acceptance

Made by `{command}` on {date}, at commit {commit}{changes}: {machine}.

A campaign is `hotfire run scenarios/NAME.toml --seed i`, with the flags that the table
tells, for i = 1, 2, … A defect counts as caught when every plan of its scenario ends with the
right status word in the right phase (and step), and every death has the right class and culprit;
without the ledger, the class `unknown` is right, too. The last columns tell what was told of all
deaths, with the line of the culprit's source. An engine is silent when every plan ends with
PASS and there is no finding. The kills are tests of harness/cli/tests/command, at random moments.
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/acceptance.sh")
    parser.add_argument("program", help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="one seed each")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT}")
    arguments = parser.parse_args()
    if arguments.quick and arguments.write:
        parser.error("--write is for the full counts")
    program = str(pathlib.Path(arguments.program).resolve())
    seeds = range(1, 2 if arguments.quick else 21)
    # Silence is shown by more runs than a catch.
    busy_seeds = range(1, 2 if arguments.quick else 101)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="acceptance-") as folder:
        stand = campaigns.Stand(program, folder, seeds, busy_seeds)
        for row in stand.rows():
            rows.append(row)
            row.tell()
    for row in kills.rows(3 if arguments.quick else 50):
        rows.append(row)
        row.tell()
    print("\n" + table(rows))
    if arguments.write:
        DOCUMENT.write_text(head() + "\n" + table(rows))
    missed = [row for row in rows if not row.holds()]
    for row in missed:
        print(f"error: {row.what}: {row.good} of {row.of}, at least {row.bound} are needed")
        print(f"  help: {row.command}")
    return 1 if missed else 0


def head() -> str:
    git = lambda *words: subprocess.run(
        ["git", *words], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()
    kernel = ".".join(platform.release().split(".")[:2])
    machine = f"{os.cpu_count()} {platform.machine()} processors, Linux {kernel}"
    changed = git("status", "--porcelain", "--untracked-files=no", "harness", "engines", "scenarios")
    return HEAD.format(
        command="scripts/acceptance.sh --write",
        date=datetime.date.today().isoformat(),
        commit=git("rev-parse", "--short", "HEAD"),
        changes=" with local changes" if changed else "",
        machine=machine,
    )


if __name__ == "__main__":
    sys.exit(main())
