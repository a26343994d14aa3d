"""What all benchmarks share: how CPU time is counted, and how figures are printed.

Deliberately absent: what is measured (isolation.py, backtrace.py, signatures.py, exec.py).
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ZEROS = open("/dev/zero", "rb")
BUILD = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


class CpuMeter:
    """CPU seconds of process trees: from a cgroup of ours where one can be made."""

    def __init__(self):
        self.folder = self.make_group()
        self.waited = 0.0

    @staticmethod
    def make_group():
        groups = [line.rstrip("\n").split(":", 2) for line in open("/proc/self/cgroup")]
        own = {name: path for _, names, path in groups for name in names.split(",")}
        for name, base in (("cpuacct", "/sys/fs/cgroup/cpuacct"), ("", "/sys/fs/cgroup")):
            if name not in own:
                continue
            folder = Path(base + own[name]) / f"hotfire-bench-{os.getpid()}"
            try:
                folder.mkdir()
            except OSError:
                continue
            if (folder / "cpuacct.usage").exists() or (folder / "cpu.stat").exists():
                return folder
            folder.rmdir()
        return None

    def enter(self):
        """Called in the child before it becomes the program."""
        if self.folder:
            (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self):
        if not self.folder:
            return self.waited
        if (self.folder / "cpuacct.usage").exists():
            return int((self.folder / "cpuacct.usage").read_text()) / 1e9
        stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def close(self):
        if self.folder:
            self.folder.rmdir()

    def describe(self):
        return "counted by a cgroup" if self.folder else "of waited-for children only"


def measure(meter, command, statuses=(0,)):
    """Wall and CPU seconds of a command, which must end with one of these statuses."""
    cpu = meter.seconds()
    begun = time.perf_counter()
    child = subprocess.Popen(command, cwd=ROOT, preexec_fn=meter.enter, text=True, errors="replace",
                             stdin=ZEROS, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in statuses:
        sys.exit(f"error: {' '.join(command)} ended with {child.returncode}\n{output}")
    meter.waited += used.ru_utime + used.ru_stime
    return wall, meter.seconds() - cpu


def middle(values, digits=0):
    """The median with the least and the greatest."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f} ({low:,.{digits}f}–{high:,.{digits}f})"


def verdict(name, value, aim, met):
    print(f"- {name}: {value}; aim: {aim}: **{'met' if met else 'missed'}**")
