"""Tests of the suites' runner: what it reads of a suite's output, and when two runs are the same.

`python3 -B -m unittest discover -s scripts/suites`
"""

import json
import pathlib
import tempfile
import unittest

import main
from main import Run


class Results(unittest.TestCase):
    def test_pytests_counts_are_read_without_the_time(self):
        for output, counts in {
            "...\n120 passed in 1.77s\n": "120 passed",
            "== 1 failed, 299 passed, 15 skipped, 2 warnings in 70.10s (0:01:10) ==\n": "1 failed, 299 passed, 15 skipped",
            "873 passed, 7 xfailed in 19.73s\nnote: no finding\n": "873 passed, 7 xfailed",
        }.items():
            self.assertEqual(main.results(output), counts)

    def test_unittests_counts_are_read(self):
        self.assertEqual(main.results("Ran 101 tests in 0.270s\n\nOK\n"), "101 run, OK")
        failed = "Ran 2 tests in 0.1s\n\nFAILED (failures=1)\n"
        self.assertEqual(main.results(failed), "2 run, FAILED (failures=1)")

    def test_an_output_without_counts_is_said(self):
        self.assertEqual(main.results("Segmentation fault\n"), "no results")


class Reports(unittest.TestCase):
    def test_findings_and_missing_reports_count(self):
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.json"
            self.assertEqual(main.findings(report), ("no report",))
            told = {"summary": {"blind": 1}, "findings": [{"status": "LEAK", "class": "thread-leak"}]}
            report.write_text(json.dumps(told))
            self.assertEqual(main.findings(report), ("LEAK thread-leak", "blind"))
            report.write_text(json.dumps({"summary": {"blind": 0}, "findings": []}))
            self.assertEqual(main.findings(report), ())


class Rows(unittest.TestCase):
    def test_another_count_or_status_is_another_result(self):
        run = Run(0, "3 passed", 1.0, 0.5)
        self.assertTrue(main.same([run], [run]))
        self.assertFalse(main.same([run], [Run(1, "3 passed", 1.0, 0.5)]))
        self.assertFalse(main.same([run], [Run(0, "2 passed", 1.0, 0.5)]))

    def test_a_row_tells_medians_their_ratio_and_what_differs(self):
        bare = [Run(0, "3 passed", seconds, 1.0) for seconds in (1.0, 2.0, 9.0)]
        watched = [Run(0, "3 passed", seconds, 1.5) for seconds in (3.0, 3.0, 9.0)]
        self.assertEqual(
            main.row("p==1", bare, watched),
            "| p==1 | 3 passed | 0 | none | 2.0 | 3.0 | 1.50 | 1.0 | 1.5 | 1.50 |\n",
        )
        loud = [Run(1, "2 passed", 3.0, 1.5, ("SIGSEGV unknown",))]
        self.assertIn("| bare 3 passed; watched 2 passed | bare 0; watched 1 | SIGSEGV unknown |", main.row("p", bare, loud))


if __name__ == "__main__":
    unittest.main()
