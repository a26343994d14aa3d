"""Runs test suites bare and under `hotfire exec`, in turn; see scripts/suites.sh.

Deliberately absent: judging the packages. A test that fails fails in both, or the results differ.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
import tomllib

# Of a suite that ran nothing, or said nothing of it: never the same as another.
NO_RESULTS = "no results"
SET_UP = 96
RUNS = 3
# Of one run: the slowest takes half a minute alone, minutes on a busy machine.
SECONDS_MAX = 900
CACHE = pathlib.Path(".cache/suites").absolute()
DOCUMENT = pathlib.Path("docs/suites.md")
BY_HAND = "\n## Reading it\n"
HEAD = """\
# Silence

Test suites of published packages with native code, run bare and under `hotfire exec`, in turn, {runs} times each.
Made by `scripts/suites.sh --table` on {date}: {hotfire}, CPython {python}, {machine}; load average {before} before, {after} after.

**{silent} of {suites} without a finding, {same} of {suites} with the same results (counts and exit status) in every run.**

Seconds and processor seconds (of all processes, Hotfire's own too) are medians; the ratio is watched to bare.

| suite | results | exit status | findings | seconds bare | watched | ratio | processor seconds bare | watched | ratio |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run of a suite came to."""

    status: int
    results: str
    seconds: float
    processor_seconds: float
    findings: tuple[str, ...] = ()


@dataclasses.dataclass
class Suite:
    name: str
    requirements: list[str]
    arguments: list[str]
    sources: str | None = None

    def folder(self) -> pathlib.Path:
        return CACHE / self.name

    def install(self) -> None:
        """Once; the stamp is written last, so that an interrupted one is begun anew."""
        folder, stamp = self.folder(), self.folder() / "ready.json"
        wanted = json.dumps([self.requirements, self.sources])
        if stamp.exists() and stamp.read_text() == wanted:
            return
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "work").mkdir(parents=True)
        print(f"installing {', '.join(self.requirements)}", file=sys.stderr, flush=True)
        step([sys.executable, "-m", "venv", str(folder / "python")])
        pip = [str(folder / "python/bin/python"), "-m", "pip", "--quiet"]
        step([*pip, "install", "--no-input", *self.requirements])
        if self.sources:
            # The tests only: beside its sources a package would be imported from there.
            package = self.requirements[0]
            step([*pip, "download", "--no-deps", "--no-binary", ":all:", "-d", str(folder), package])
            [archive] = folder.glob("*.tar.gz")
            into = ["-C", str(folder / "work"), "--strip-components=1", "--wildcards"]
            step(["tar", "-xzf", str(archive), *into, f"*/{self.sources}"])
        stamp.write_text(wanted)

    def command(self) -> list[str]:
        return [str(self.folder() / "python/bin/python"), "-B", *self.arguments]

    def run(self, hotfire: str | None, name: str) -> Run:
        """Bare, or under a hotfire; what it printed is kept by that name."""
        report, output = self.folder() / "report.json", self.folder() / f"{name}.out"
        report.unlink(missing_ok=True)
        watched = [hotfire, "exec", "--json", str(report), "--"] if hotfire else []
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        with open(output, "wb") as file:
            process = subprocess.run(
                [*watched, *self.command()],
                cwd=self.folder() / "work",
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=SECONDS_MAX,
            )
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        text = output.read_text(errors="replace")
        found = findings(report) if hotfire else ()
        return Run(process.returncode, results(text), seconds, used, found)


def results(output: str) -> str:
    """The counts of pytest's or unittest's last lines, without the time they took."""
    counts = re.findall(r"^=*\s*(\d+ (?:passed|failed)[^=\n]*?) in [\d.]+s", output, re.M)
    if counts:
        return re.sub(r", \d+ warnings?", "", counts[-1])
    ran = re.search(r"^Ran (\d+) tests in .*\n+(OK|FAILED)(.*)$", output, re.M)
    return f"{ran[1]} run, {ran[2]}{ran[3]}" if ran else NO_RESULTS


def findings(report: pathlib.Path) -> tuple[str, ...]:
    """`STATUS class` of each, or what is missing in the report."""
    try:
        told = json.loads(report.read_text())
    except (OSError, ValueError):
        return ("no report",)
    blind = told["summary"].get("blind", 0)
    found = [f"{finding['status']} {finding['class']}" for finding in told["findings"]]
    return (*found, *(["blind"] if blind else []))


def step(command: list[str]) -> None:
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if result.returncode != 0:
        print(f"error: `{' '.join(command[:5])} …` ended with {result.returncode}", file=sys.stderr)
        print(result.stderr[-2000:], file=sys.stderr)
        sys.exit(SET_UP)


def row(name: str, bare: list[Run], watched: list[Run]) -> str:
    """A line of the table."""
    cells = [name]
    for what in (lambda run: run.results, lambda run: str(run.status)):
        alone, together = told(map(what, bare)), told(map(what, watched))
        cells.append(alone if alone == together else f"bare {alone}; watched {together}")
    cells.append(told(found for run in watched for found in run.findings) or "none")
    for seconds in (lambda run: run.seconds, lambda run: run.processor_seconds):
        alone = statistics.median(map(seconds, bare))
        together = statistics.median(map(seconds, watched))
        cells += [f"{alone:.1f}", f"{together:.1f}", f"{together / alone:.2f}"]
    return f"| {' | '.join(cells)} |\n"


def told(words) -> str:
    return " or ".join(sorted(set(words)))


def same(bare: list[Run], watched: list[Run]) -> bool:
    results = {(run.status, run.results) for run in bare + watched}
    return len(results) == 1 and all(counts != NO_RESULTS for _, counts in results)


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def main() -> int:
    described = tomllib.loads(pathlib.Path(__file__).with_name("suites.toml").read_text())
    suites = [Suite(name, **fields) for name, fields in described.items()]
    parser = argparse.ArgumentParser(prog="scripts/suites.sh")
    parser.add_argument("hotfire", help=argparse.SUPPRESS)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(described)}")
    parser.add_argument("--table", action="store_true", help=f"all, and {DOCUMENT}")
    arguments = parser.parse_intermixed_args()
    strangers = set(arguments.suites) - set(described)
    if strangers or (arguments.table and arguments.suites):
        parser.error(f"no such suite: {', '.join(strangers)}" if strangers else "--table is for all")
    hotfire = str(pathlib.Path(arguments.hotfire).resolve())
    chosen = [suite for suite in suites if suite.name in (arguments.suites or described)]
    for suite in chosen:
        suite.install()

    before, rows, silent, alike = load(), [], 0, 0
    for suite in chosen:
        bare, watched = [], []
        for number in range(1, RUNS + 1):
            bare.append(suite.run(None, f"bare-{number}"))
            watched.append(suite.run(hotfire, f"watched-{number}"))
        silent += not any(run.findings for run in watched)
        alike += same(bare, watched)
        rows.append(row(suite.requirements[0], bare, watched))
        print(rows[-1], end="", flush=True)
    if arguments.table:
        known = DOCUMENT.read_text() if DOCUMENT.exists() else ""
        _, heading, rest = known.partition(BY_HAND)
        version = subprocess.run([hotfire, "--version"], capture_output=True, text=True, check=True)
        linux = ".".join(platform.release().split(".")[:2])
        head = HEAD.format(
            runs=RUNS,
            date=datetime.date.today().isoformat(),
            hotfire=version.stdout.strip(),
            python=platform.python_version(),
            machine=f"{os.cpu_count()} {platform.machine()} processors, Linux {linux}",
            before=before,
            after=load(),
            silent=silent,
            same=alike,
            suites=len(chosen),
        )
        DOCUMENT.write_text(head + "".join(rows) + heading + rest)
    return 0 if silent == alike == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
