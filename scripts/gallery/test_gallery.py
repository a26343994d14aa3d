"""Tests of the gallery's runner: each check must find fault with a report that breaks it alone.

Reports are made up here. `python3 -B -m unittest discover -s scripts/gallery`
"""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import document
import main
import runtimes
import watch
from environments import Environments, SetUpFailed, packages
from verdict import NOT_RUN, RIGHT, UNKNOWN, WRONG, Verdict, judge, not_run

EXPECTED = {
    "runtime": "py", "timeout_s": 5, "runs": 4, "status": ["SIGBUS", "EXIT-CRASH"],
    "classes": ["file-truncated", "wild-pointer"], "culprit": "engine|pool", "phase": "exit",
    "relation": "descendant", "file": True, "one_bucket": True, "left": {"process": 4},
    "min_rate": 0.5,
}
CONTROL = {
    "runtime": "py", "timeout_s": 5, "runs": 4, "status": ["PASS"], "classes": ["clean-exit"],
    "culprit": ".*", "negative_control": True,
}
FILES = {"model.bin"}


def finding(**changes) -> dict:
    right = {
        "id": "01", "code": "C101", "status": "SIGBUS", "class": "file-truncated",
        "phase": "exit", "culprit": {"module": "libengine.so"},
        "victim": {"pid": 2, "tid": 2, "relation": "descendant"}, "file": "/x/model.bin",
        "left_behind": [{"kind": "process", "count": 3}, {"kind": "process", "count": 1}],
    }
    return {key: value for key, value in {**right, **changes}.items() if value is not None}


def report(*findings: dict, failed: int | None = None, runs: int = 4, blind: int = 0) -> dict:
    failed = (runs if findings else 0) if failed is None else failed
    summary = {"runs": runs, "passed": runs - failed, "failed": failed, "blind": blind, "seconds": 1.5}
    return {"schema": "hotfire/1", "verb": "exec", "findings": list(findings), "summary": summary}


class Checks(unittest.TestCase):
    def assert_judged(self, word: str, reason: str, told: object, expected: dict = EXPECTED):
        result = judge(expected, told, FILES)
        self.assertEqual((result.word, result.reasons), (word, [reason] if reason else []))

    def test_what_was_expected_is_right(self):
        self.assert_judged(RIGHT, "", report(finding()))
        self.assert_judged(RIGHT, "", report(finding(status="EXIT-CRASH"), failed=2))

    def test_what_was_told_is_repeated(self):
        told = judge({**EXPECTED, "one_bucket": False}, report(finding(), finding(id="02", phase="run")), FILES)
        self.assertEqual((told.status, told.phase, told.buckets), ("SIGBUS", "exit, run", 2))
        self.assertEqual((told.culprit, told.victim, told.runs), ("libengine.so", "descendant", 4))

    def test_each_contradiction_is_wrong(self):
        for reason, changes in {
            "status SIGSEGV": {"status": "SIGSEGV"},
            "class double-free": {"class": "double-free"},
            "culprit libc.so.6": {"culprit": {"module": "libc.so.6"}},
            "phase run": {"phase": "run"},
            "victim child": {"victim": {"pid": 1, "tid": 1, "relation": "child"}},
            "file /x/other.bin": {"file": "/x/other.bin"},
            "3 left of kind process instead of 4": {"left_behind": [{"kind": "process", "count": 3}]},
            "0 left of kind process instead of 4": {"left_behind": [{"kind": "thread", "count": 4}]},
        }.items():
            with self.subTest(reason):
                self.assert_judged(WRONG, reason, report(finding(**changes)))

    def test_what_is_not_told_is_unknown(self):
        for reason, changes in {
            "class unknown": {"class": "unknown"},
            "no culprit named": {"culprit": None},
            "no victim named": {"victim": None},
            "no file named": {"file": None},
        }.items():
            with self.subTest(reason):
                self.assert_judged(UNKNOWN, reason, report(finding(**changes)))

    def test_the_runs_as_a_whole_are_judged(self):
        two = report(finding(), finding(id="02"))
        self.assert_judged(WRONG, "2 buckets for one bug", two)
        self.assert_judged(RIGHT, "", two, {**EXPECTED, "one_bucket": False})
        rare = report(finding(), failed=1)
        self.assert_judged(WRONG, "in 1 of 4 runs, at least 0.5 of them expected", rare)
        self.assert_judged(RIGHT, "", rare, {**EXPECTED, "min_rate": 0.25})
        self.assert_judged(WRONG, "3 runs instead of 4", report(finding(), runs=3))
        self.assert_judged(UNKNOWN, "1 runs could not be watched", report(finding(), blind=1))
        self.assert_judged(WRONG, "no finding", report(), {**EXPECTED, "min_rate": 0})

    def test_every_finding_counts(self):
        several = {**EXPECTED, "one_bucket": False}
        other = finding(id="02", **{"class": "double-free"})
        self.assert_judged(WRONG, "class double-free", report(finding(), other), several)
        other = finding(id="02", **{"class": "unknown"})
        self.assert_judged(UNKNOWN, "class unknown", report(finding(), other), several)

    def test_wrong_outweighs_unknown(self):
        result = judge(EXPECTED, report(finding(culprit=None, status="SIGSEGV")), FILES)
        self.assertEqual(result.word, WRONG)
        self.assertEqual(result.reasons, ["status SIGSEGV", "no culprit named"])

    def test_a_control_must_be_silent(self):
        self.assert_judged(RIGHT, "", report(), CONTROL)
        loud = report(finding(status="PASS", **{"class": "clean-exit"}))
        self.assert_judged(
            WRONG, "a finding where nothing is wrong: PASS clean-exit", loud, CONTROL
        )
        self.assert_judged(UNKNOWN, "2 runs could not be watched", report(blind=2), CONTROL)

    def test_without_a_report_nothing_is_right(self):
        for told in (None, [], {}, {**report(finding()), "verb": "run"}, {**report(finding()), "schema": "x/1"}):
            for expected in (EXPECTED, CONTROL):
                self.assert_judged(WRONG, "there is no report of `hotfire exec`", told, expected)

    def test_a_module_may_be_known_by_its_package(self):
        packed = lambda path: finding(
            culprit={"module": "compiled.so"},
            threads=[{"frames": [{"pc": "0x1"}, {"pc": "0x2", "module": path}]}],
        )
        self.assert_judged(RIGHT, "", report(packed("/v/site-packages/engine/compiled.so")))
        # Neither a folder above the packages nor another module's path tells whose it is.
        for path in ("/engine/compiled.so", "/engine/site-packages/x/compiled.so", "/v/site-packages/engine/other.so"):
            self.assert_judged(WRONG, "culprit compiled.so", report(packed(path)))

    def test_an_expectation_that_nothing_checks_is_refused(self):
        with self.assertRaises(ValueError):
            judge({**EXPECTED, "colour": "red"}, report(finding()), FILES)


class Documents(unittest.TestCase):
    def test_unknowns_are_counted_in_what_was_written(self):
        rows = [
            ("a", "p==1", EXPECTED, Verdict(UNKNOWN, ["class unknown", "a | b"])),
            ("b", "p==1", EXPECTED, Verdict(RIGHT, [])),
            ("c", "", CONTROL, not_run("no CPython")),
            ("d", "", CONTROL, Verdict(UNKNOWN, [])),
        ]
        text = "".join(f"| {' | '.join(document.row(*one))} |\n" for one in rows)
        self.assertEqual(document.committed_unknowns(text, ["a", "b", "c"]), 1)
        self.assertEqual(document.committed_unknowns(text, ["a", "d"]), 2)
        self.assertEqual(document.committed_unknowns("", ["a"]), 0)

    def test_a_new_table_keeps_what_was_written_by_hand(self):
        row = document.row("a", "p==1", EXPECTED, Verdict(RIGHT, []))
        table = f"# Title\n\n| {' | '.join(row)} |\n"
        by_hand = f"{document.BY_HAND}\n**a**: right.\n"
        self.assertEqual(document.written_by_hand(table + by_hand), by_hand)
        self.assertEqual(document.written_by_hand(table), "")

    def test_the_exit_status_follows_the_words(self):
        arguments = main.argparse.Namespace(table=False, wild=False)
        with tempfile.TemporaryDirectory() as folder:
            kept, document.DOCUMENT = document.DOCUMENT, pathlib.Path(folder) / "gallery.md"
            try:
                for known, word, status in (
                    (UNKNOWN, UNKNOWN, 0), (RIGHT, UNKNOWN, 1), (RIGHT, WRONG, 1), (WRONG, WRONG, 1),
                    (RIGHT, RIGHT, 0), (RIGHT, NOT_RUN, 0),
                ):
                    line = document.row("a", "", EXPECTED, Verdict(known, []))
                    document.DOCUMENT.write_text(f"| {' | '.join(line)} |\n")
                    with contextlib.redirect_stdout(io.StringIO()):
                        got = main.close([("a", "", EXPECTED, Verdict(word, []))], arguments)
                    self.assertEqual(got, status, (known, word))
            finally:
                document.DOCUMENT = kept


class SettingUp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def test_an_interrupted_installation_is_begun_anew(self):
        environments, wanted, calls = Environments(self.folder), self.folder / "one", []

        def install(fails: bool) -> None:
            self.assertEqual(list(wanted.iterdir()), [])
            (wanted / "part").write_text("")
            calls.append(fails)
            if fails:
                raise SetUpFailed("no network")

        with contextlib.redirect_stderr(io.StringIO()):
            with self.assertRaises(SetUpFailed):
                environments.ready(wanted, ["p==1"], lambda: install(True))
            for _ in range(2):
                environments.ready(wanted, ["p==1"], lambda: install(False))
        self.assertEqual(calls, [True, False])

    def test_requirements_name_packages_of_every_registry(self):
        (self.folder / "requirements.txt").write_text(
            "# none\nllama-cpp-python==0.3.16\nnpm: some-node@1.2 -> lib.so as PATH\n"
        )
        self.assertEqual(packages(self.folder), ["llama-cpp-python", "some-node"])
        self.assertEqual(
            Environments(self.folder).heavy(self.folder), "builds for about ten minutes"
        )

    def test_a_case_may_be_left_out_by_its_own_name(self):
        case = self.folder / "lightgbm-truncated-model-abort"
        case.mkdir()
        (case / "requirements.txt").write_text("lightgbm==4.7.0\n")
        self.assertIn("beyond the model's end", Environments(self.folder).heavy(case))
        twin = case.rename(self.folder / "lightgbm-other")
        self.assertIsNone(Environments(self.folder).heavy(twin))

    def test_a_missing_debian_package_is_said(self):
        self.folder.joinpath("requirements.txt").write_text("debian: no-such-package-0 1.2\n")
        with self.assertRaisesRegex(SetUpFailed, "apt-get install no-such-package-0"):
            Environments(self.folder / "cache").command(self.folder, "perl")

    def test_npm_packages_are_installed_as_they_are_shipped(self):
        [step] = runtimes.steps("node", self.folder, self.folder, ["npm: some@1.2", "debian: nodejs 20"])
        self.assertEqual((step[:2], step[-1]), (["npm", "install"], "some@1.2"))
        self.assertIn("--ignore-scripts", step)
        self.assertEqual(runtimes.steps("node", self.folder, self.folder, ["debian: nodejs 20"]), [])

    def test_nothing_outlives_a_run(self):
        script = (
            "import watch, subprocess, pathlib; watch.adopt_orphans();"
            "process = subprocess.Popen(['sh', '-c', 'setsid sleep 600 & echo; exec sleep 600'],"
            " stdout=subprocess.PIPE); process.stdout.readline();"
            "watch.end(process, 0.1); print(watch.children())"
        )
        environment = dict(os.environ, PYTHONPATH=str(pathlib.Path(watch.__file__).parent))
        result = subprocess.run(
            [sys.executable, "-B", "-c", script],
            env=environment, capture_output=True, text=True, timeout=60,
        )
        self.assertEqual((result.stdout, result.stderr), ("[]\n", ""))


if __name__ == "__main__":
    unittest.main()
