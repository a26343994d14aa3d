"""docs/gallery.md: its text, and what a committed one says.

Deliberately absent: judging.
"""

import datetime
import os
import pathlib
import platform
import subprocess

from environments import base_python
from verdict import NOT_RUN, RIGHT, UNKNOWN, WRONG, Verdict

DOCUMENT = pathlib.Path("docs/gallery.md")
HEAD = """\
# The gallery

Reported failures of published packages, none of them made for Hotfire, and what `hotfire exec` says of each.
Made by `scripts/gallery.sh --table` on {date}, at commit {commit}{changes}: {hotfire}, CPython {python}, {machine}.

**{right} of {cases} right, {wrong} wrong, {unknown} unknown, {not_run} not run. Share of `unknown` among those run: {share}.**

`right`: status, class and culprit are among what was expected, and so is whatever else the case asks for. `wrong`: something
contradicts it. `unknown`: something that should be told is not. The victim is the command itself (child) or a process that it made
(descendant); a bucket is what Hotfire takes for one bug, whatever its signals and top frames.

"""
COLUMNS = ["case", "packages", "expected", "status", "class", "culprit", "phase", "victim", "buckets", "runs", "verdict"]


def text(hotfire: str, rows: list[tuple[str, str, dict, Verdict]]) -> str:
    """Of name, packages, expectation and verdict of each case."""
    count = lambda word: sum(verdict.word == word for *_, verdict in rows)
    ran = len(rows) - count(NOT_RUN)
    head = HEAD.format(
        date=datetime.date.today().isoformat(),
        commit=git("rev-parse", "--short", "HEAD"),
        changes=" with local changes" if git("status", "--porcelain", "-uno", "harness") else "",
        hotfire=output(hotfire, "--version"),
        python=output(str(base_python()), "--version").removeprefix("Python "),
        machine=f"{os.cpu_count()} {platform.machine()} processors, Linux {platform.release()}",
        cases=len(rows),
        right=count(RIGHT),
        wrong=count(WRONG),
        unknown=count(UNKNOWN),
        not_run=count(NOT_RUN),
        share=f"{count(UNKNOWN) / ran:.0%}" if ran else "none was run",
    )
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row(*one) for one in rows)]
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(name: str, packages: str, expected: dict, verdict: Verdict) -> list[str]:
    failed = f"{verdict.failed} of {verdict.runs}" if verdict.runs else ""
    reasons = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
    cells = [
        name, packages, expectation(expected), verdict.status, verdict.class_, verdict.culprit,
        verdict.phase, verdict.victim, str(verdict.buckets or ""), failed, verdict.word + reasons,
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def expectation(expected: dict) -> str:
    """One line for a reader."""
    if expected.get("negative_control"):
        return "no finding"
    parts = [f"{' or '.join(expected['status'])}: {' or '.join(expected['classes'])}"]
    if expected["culprit"] != ".*":
        parts.append(f"in `{expected['culprit']}`")
    for key, said in (("phase", "phase {}"), ("relation", "victim {}"), ("min_rate", "rate at least {}")):
        parts += [said.format(expected[key])] if key in expected else []
    parts += [f"{count} {kind} left" for kind, count in expected.get("left", {}).items()]
    parts += ["the file named"] if expected.get("file") else []
    parts += ["one bucket"] if expected.get("one_bucket") else []
    return ", ".join(parts)


def committed_unknowns(document: str, names: list[str]) -> int:
    """How many of these cases are unknown in a document of that text."""
    count = 0
    for line in document.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        count += cells[0] in names and cells[-1].startswith(UNKNOWN)
    return count


def git(*words: str) -> str:
    return output("git", *words)


def output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
