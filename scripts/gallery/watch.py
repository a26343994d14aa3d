"""Runs one case under `hotfire exec` and reads the report.

Each run has a deadline of hotfire's; the whole has one of ours. What is left over is ended: this
process adopts every orphan below it.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
# Beyond its time limit a run takes a look at every thread and the end of what is left.
RUN_EXTRA_SECONDS = 20
# What hotfire let live may end by itself, and clean up.
PATIENCE_SECONDS = 5


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def watch(
    hotfire: str, name: str, command: list[str], variables: dict[str, str], expected: dict, logs: pathlib.Path
) -> tuple[object, set[str], str]:
    """The report (`None` without one), the names of the files that the case made, and its command
    line."""
    logs.mkdir(parents=True, exist_ok=True)
    report_file = logs / f"{name}.json"
    report_file.unlink(missing_ok=True)
    words = [hotfire, "exec", *flags(expected), "--json", str(report_file), "--", *command]
    seconds_max = expected["runs"] * (expected["timeout_s"] + RUN_EXTRA_SECONDS)
    with tempfile.TemporaryDirectory(prefix="gallery-", ignore_cleanup_errors=True) as scratch:
        environment = dict(os.environ, TMPDIR=scratch, **variables)
        with open(logs / f"{name}.out", "wb") as out, open(logs / f"{name}.err", "wb") as err:
            process = subprocess.Popen(
                words,
                cwd=scratch,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                err.write(f"ended by the runner after {seconds_max} s\n".encode())
            finally:
                end(process)
        files = {file.name for file in pathlib.Path(scratch).rglob("*") if file.is_file()}
    return read(report_file), files, " ".join(words)


def flags(expected: dict) -> list[str]:
    """Whether what outlives a program is a fault, its user has to say."""
    chosen = ["--timeout", f"{expected['timeout_s']}s", "--runs", str(expected["runs"])]
    if "left" in expected or expected.get("negative_control"):
        chosen += ["--leftovers", "fail"]
    return chosen


def end(process: subprocess.Popen, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Ends hotfire, if it still runs, and every process that came below it."""
    if process.poll() is None:
        process.kill()
        process.wait()
    patient_until = time.monotonic() + patience_seconds
    while True:
        for pid in children() if time.monotonic() > patient_until else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if ended == 0:
            time.sleep(0.02)


def children() -> list[int]:
    text = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


def read(file: pathlib.Path) -> object:
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None
