"""docs/gallery.md and docs/wild.md: their tables, and what committed ones say.

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
TITLE = """\
# The gallery

Reported failures of published packages, none of them made for Hotfire, and what `hotfire exec` says of each.
Made by `scripts/gallery.sh --table`"""
WILD = pathlib.Path("docs/wild.md")
WILD_TITLE = """\
# Beyond the gallery

Programs that crash or hang for real, in packages and runtimes that the gallery has not, and what `hotfire exec` says of each.
What was expected was written first, from other sources (`wild/*/NOTE.md`).
The table is made by `scripts/gallery.sh --wild --table`"""
# From this line on a document is written by hand, and kept.
BY_HAND = "\n## Program by program\n"
HEAD = """\
{title} on {date}, at commit {commit}{changes}: {hotfire}, CPython {python}, {machine}.

**{right} of {cases} right, {wrong} wrong, {unknown} unknown, {not_run} not run. Share of `unknown` among those run: {share}.**

`right`: status, class and culprit are among what was expected, and so is whatever else the case asks for. `wrong`: something
contradicts it. `unknown`: something that should be told is not. The victim is the command itself (child) or a process that it made
(descendant); a bucket is what Hotfire takes for one bug, whatever its signals and top frames.

"""
COLUMNS = ["case", "packages", "expected", "status", "class", "culprit", "phase", "victim", "buckets", "runs", "verdict"]


def text(title: str, hotfire: str, rows: list[tuple[str, str, dict, Verdict]]) -> str:
    """Of name, packages, expectation and verdict of each case."""
    count = lambda word: sum(verdict.word == word for *_, verdict in rows)
    ran = len(rows) - count(NOT_RUN)
    head = HEAD.format(
        title=title,
        date=datetime.date.today().isoformat(),
        commit=git("rev-parse", "--short", "HEAD"),
        changes=" with local changes" if git("status", "--porcelain", "-uno", "harness") else "",
        hotfire=output(hotfire, "--version"),
        python=output(str(base_python()), "--version").removeprefix("Python "),
        machine=f"{os.cpu_count()} {platform.machine()} processors, Linux {linux()}",
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


def written_by_hand(document: str) -> str:
    """The end of a document that no table replaces."""
    _, heading, rest = document.partition(BY_HAND)
    return heading + rest


def committed_unknowns(document: str, names: list[str]) -> int:
    """How many of these cases are unknown in a document of that text."""
    count = 0
    for line in document.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        count += cells[0] in names and cells[-1].startswith(UNKNOWN)
    return count


def linux() -> str:
    """Its version, without what a machine adds to it."""
    return ".".join(platform.release().split(".")[:2])


def git(*words: str) -> str:
    return output("git", *words)


def output(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
