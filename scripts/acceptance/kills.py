"""SIGKILL of the front and of supervisors, by the tests that do it (harness/cli/tests/command)."""

import collections.abc
import os
import subprocess

from row import Row

LIMIT_S = 900
TESTS = {
    "kill-front-nothing-remains": "no process of ours one second later, folders removed and told",
    "kill-supervisor-campaign-goes-on": "one run blind, every other judged",
}


def rows(kills: int) -> collections.abc.Iterator[Row]:
    for name, expected in TESTS.items():
        command = ["cargo", "test", "--quiet", "-p", "hotfire", "--test", "command", "--"]
        command += ["--exact", name]
        row = Row(
            what=name,
            expected=expected,
            command=f"HOTFIRE_TEST_KILLS={kills} {' '.join(command)}",
            of=kills,
            bound=kills,
        )
        environment = {**os.environ, "HOTFIRE_TEST_KILLS": str(kills)}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
            output = done.stdout + done.stderr
            # The test ends at its first miss: then none of its kills is counted.
            row.good = kills if done.returncode == 0 and "1 passed" in output else 0
        except subprocess.TimeoutExpired:
            output = f"did not end within {LIMIT_S} s"
        if row.good < kills:
            print(output, flush=True)
        yield row
