"""Runs the cases of the gallery; see scripts/gallery.sh.

Deliberately absent: retries. What a case showed is told.
"""

import argparse
import json
import os
import pathlib
import sys

import document
import verdict
import watch
from environments import Environments, SetUpFailed, requirements

SET_UP = 96
CACHE = pathlib.Path(".cache/gallery")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/gallery.sh")
    parser.add_argument("hotfire", help=argparse.SUPPRESS)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="these only")
    parser.add_argument("--light", action="store_true", help="small packages and short runs only")
    parser.add_argument("--table", action="store_true", help=f"all cases, and {document.DOCUMENT}")
    parser.add_argument("--wild", action="store_true", help=f"those of wild, and {document.WILD}")
    arguments = parser.parse_intermixed_args()
    if arguments.table and (arguments.cases or arguments.light):
        parser.error("--table is for all cases")
    elsewhere = os.environ.get("HOTFIRE_GALLERY", "../shared/gallery")
    gallery = pathlib.Path("wild" if arguments.wild else elsewhere).resolve()
    try:
        expectations = json.loads((gallery / "expect.json").read_text())
    except OSError:
        print(f"error: the gallery is not in {gallery}", file=sys.stderr)
        print("  help: HOTFIRE_GALLERY=FOLDER scripts/gallery.sh", file=sys.stderr)
        return SET_UP
    strangers = [name for name in arguments.cases if name not in expectations]
    if strangers:
        parser.error(f"no such case: {', '.join(strangers)}; there are {', '.join(expectations)}")

    # Of the folder, not of where it really lies: an environment keeps its own path.
    environments = Environments(pathlib.Path.cwd() / CACHE)
    stand = Stand(str(pathlib.Path(arguments.hotfire).resolve()), gallery, environments)
    watch.adopt_orphans()
    rows = []
    names = arguments.cases or list(expectations)
    for name in light(names, gallery, environments) if arguments.light else names:
        result = stand.verdict(name, expectations[name])
        tell(name, result)
        rows.append((name, ", ".join(requirements(gallery / name)), expectations[name], result))
    return close(rows, arguments)


def light(names: list[str], gallery: pathlib.Path, environments: Environments) -> list[str]:
    """Those that a CI machine takes; the others are named in one line."""
    heavy = {name: environments.heavy(gallery / name) for name in names}
    left_out = [f"{name} ({reason})" for name, reason in heavy.items() if reason]
    if left_out:
        print(f"SKIP gallery-heavy: {', '.join(left_out)}", flush=True)
    return [name for name in names if not heavy[name]]


class Stand:
    """What every case is run with."""

    def __init__(self, hotfire: str, gallery: pathlib.Path, environments: Environments):
        self.hotfire = hotfire
        self.gallery = gallery
        self.environments = environments

    def verdict(self, name: str, expected: dict) -> verdict.Verdict:
        case = self.gallery / name
        try:
            command, variables = self.environments.command(case, expected["runtime"])
        except SetUpFailed as error:
            return verdict.not_run(str(error))
        logs = CACHE / "logs"
        report, files, line = watch.watch(
            self.hotfire, name, command, variables, expected, logs.absolute()
        )
        result = verdict.judge(expected, report, files)
        (logs / f"{name}.command").write_text(line + "\n")
        return result


def tell(name: str, result: verdict.Verdict) -> None:
    """A line per case."""
    if result.word == verdict.NOT_RUN:
        # The form that scripts/test.sh repeats in its summary.
        print(f"SKIP gallery-{name}: {'; '.join(result.reasons)}", flush=True)
        return
    reasons = f" ({'; '.join(result.reasons)})" if result.reasons else ""
    victim = f", victim {result.victim}" if result.victim else ""
    print(
        f"{result.word.upper():7} {name}: {result.status} {result.class_}"
        f" in {result.culprit or 'no module'}, phase {result.phase or 'none'}{victim},"
        f" buckets {result.buckets}, {result.failed} of {result.runs} runs, {result.seconds:.0f} s{reasons}",
        flush=True,
    )


def close(rows: list[tuple[str, str, dict, verdict.Verdict]], arguments: argparse.Namespace) -> int:
    """The counts, the document, and the exit status."""
    words = [result.word for *_, result in rows]
    order = (verdict.RIGHT, verdict.WRONG, verdict.UNKNOWN, verdict.NOT_RUN)
    print(", ".join(f"{words.count(word)} {word}" for word in order) + f" of {len(rows)}")
    path = document.WILD if arguments.wild else document.DOCUMENT
    known = path.read_text() if path.exists() else ""
    allowed = document.committed_unknowns(known, [name for name, *_ in rows])
    if arguments.table:
        title = document.WILD_TITLE if arguments.wild else document.TITLE
        path.write_text(document.text(title, arguments.hotfire, rows) + document.written_by_hand(known))
    unknown = words.count(verdict.UNKNOWN)
    if unknown > allowed:
        print(f"error: {unknown} are unknown, {allowed} in {path}")
    return 1 if verdict.WRONG in words or unknown > allowed else 0


if __name__ == "__main__":
    sys.exit(main())
