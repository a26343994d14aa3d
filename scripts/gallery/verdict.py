"""Judges one case: what a report of `hotfire exec` says against what expect.json wants.

Pure. `wrong` is what contradicts; `unknown` is what should be told and is not; `right` is neither.
Deliberately absent: any look at the program itself. Only the report counts.
"""

import dataclasses
import pathlib
import re

RIGHT, WRONG, UNKNOWN, NOT_RUN = "right", "wrong", "unknown", "not run"
KEYS = {
    "runtime", "timeout_s", "runs", "status", "classes", "culprit", "phase", "relation", "file",
    "one_bucket", "left", "min_rate", "negative_control",
}


@dataclasses.dataclass
class Verdict:
    """The word, why it is not `right`, and what was told."""

    word: str
    reasons: list[str]
    status: str = ""
    class_: str = ""
    culprit: str = ""
    phase: str = ""
    victim: str = ""
    buckets: int = 0
    failed: int = 0
    runs: int = 0
    seconds: float = 0.0


def not_run(reason: str) -> Verdict:
    return Verdict(NOT_RUN, [reason])


def judge(expected: dict, report: object, files: set[str]) -> Verdict:
    """`files` are the names of the files that the case made."""
    strange = sorted(set(expected) - KEYS)
    if strange:
        raise ValueError(f"expect.json asks for what nothing here checks: {', '.join(strange)}")
    if not is_report(report):
        return Verdict(WRONG, ["there is no report of `hotfire exec`"])
    findings, summary = report["findings"], report["summary"]
    told = Verdict(
        RIGHT,
        [],
        status=words(findings, "status") or "PASS",
        class_=words(findings, "class"),
        culprit=words([finding.get("culprit") or {} for finding in findings], "module"),
        phase=words(findings, "phase"),
        victim=words([finding.get("victim") or {} for finding in findings], "relation"),
        buckets=len({finding["id"] for finding in findings}),
        failed=summary["failed"],
        runs=summary["runs"],
        seconds=summary["seconds"],
    )
    objections = list(of_report(expected, summary, told))
    for finding in findings if not expected.get("negative_control") else []:
        objections += of_finding(expected, finding, files)
    for word in (WRONG, UNKNOWN):
        reasons = [reason for which, reason in objections if which == word]
        if reasons:
            # What is also unknown is told, too.
            also = [reason for which, reason in objections if which != word]
            told.word, told.reasons = word, unique(reasons + also)
            break
    return told


def of_report(expected: dict, summary: dict, told: Verdict):
    """What is wrong with the runs as a whole."""
    if told.runs != expected["runs"]:
        yield WRONG, f"{told.runs} runs instead of {expected['runs']}"
    if summary.get("blind", 0) > 0:
        yield UNKNOWN, f"{summary['blind']} runs could not be watched"
    if expected.get("negative_control"):
        if told.buckets > 0 or told.failed > 0:
            yield WRONG, f"a finding where nothing is wrong: {told.status} {told.class_}"
        return
    if told.buckets == 0 or told.failed == 0:
        yield WRONG, "no finding"
    if told.failed < expected.get("min_rate", 0) * told.runs:
        yield WRONG, f"in {told.failed} of {told.runs} runs, at least {expected['min_rate']} of them expected"
    if expected.get("one_bucket") and told.buckets > 1:
        yield WRONG, f"{told.buckets} buckets for one bug"


def of_finding(expected: dict, finding: dict, files: set[str]):
    """What is wrong with one of its findings."""
    status, class_ = finding["status"], finding["class"]
    if status not in expected["status"]:
        yield WRONG, f"status {status}"
    if class_ == "unknown":
        yield UNKNOWN, "class unknown"
    elif class_ not in expected["classes"]:
        yield WRONG, f"class {class_}"
    yield from of_culprit(expected["culprit"], finding)
    if "phase" in expected and finding["phase"] != expected["phase"]:
        yield WRONG, f"phase {finding['phase']}"
    if "relation" in expected:
        relation = (finding.get("victim") or {}).get("relation")
        if relation is None:
            yield UNKNOWN, "no victim named"
        elif relation != expected["relation"]:
            yield WRONG, f"victim {relation}"
    if expected.get("file"):
        named = finding.get("file")
        if not named:
            yield UNKNOWN, "no file named"
        elif pathlib.PurePath(named).name not in files:
            yield WRONG, f"file {named}"
    for kind, count in expected.get("left", {}).items():
        left = sum(one["count"] for one in finding.get("left_behind", []) if one["kind"] == kind)
        if left != count:
            yield WRONG, f"{left} left of kind {kind} instead of {count}"


def of_culprit(pattern: str, finding: dict):
    if re.search(pattern, ""):
        return
    module = (finding.get("culprit") or {}).get("module")
    if not module:
        yield UNKNOWN, "no culprit named"
    elif not any(re.search(pattern, name) for name in module_names(module, finding)):
        yield WRONG, f"culprit {module}"


def module_names(module: str, finding: dict) -> set[str]:
    """A module by its file name; also below site-packages where its frames say so: a package's
    only library may be called `compiled.so`."""
    frames = (frame for thread in finding.get("threads", []) for frame in thread["frames"])
    paths = {frame.get("module") or "" for frame in frames}
    of_it = (path for path in paths if pathlib.PurePath(path).name == module)
    return {module} | {path.rpartition("/site-packages/")[2] for path in of_it if "/site-packages/" in path}


def is_report(report: object) -> bool:
    return (
        isinstance(report, dict)
        and report.get("schema") == "hotfire/1"
        and report.get("verb") == "exec"
        and isinstance(report.get("findings"), list)
        and isinstance(report.get("summary"), dict)
    )


def words(entries: list[dict], key: str) -> str:
    return ", ".join(unique([entry[key] for entry in entries if entry.get(key)]))


def unique(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(texts))
