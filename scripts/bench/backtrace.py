"""From a crash to the named stacks of all threads: Hotfire beside eu-stack and gdb.

The program crashes inside a big library with nine threads of its own. `stacks hold` leaves such a
process stopped at its fault, and each tool attaches to that very process: program start to exit is
what counts, for ours (`stacks attach`), too. Inside of `hotfire exec` nothing has to be started:
there the time is from the signal to the moment when the process goes on (`stacks watch`).

Cold: before the program is started the library, the program and the tool's own file are dropped
from the page cache (posix_fadvise, no root); what the program itself then maps is warm again, as in
real life. System libraries and separate debug files stay cached. Warm: the tool ran before.

Use it through scripts/bench.sh backtrace [ROUNDS].
"""

import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import BUILD, ZEROS, CpuMeter, measure, middle, verdict

STACKS, PROGRAM = BUILD / "release/examples/stacks", BUILD / "bench/big-library"
HOTFIRE, LIBRARY = BUILD / "release/hotfire", os.environ["HOTFIRE_ONNXRUNTIME"]
THREADS, AGAIN = "9", 20
GDB_AIM, WARM_AIM_MS, PEAK_AIM_MB, AGAIN_AIM_MS = 200, 8.0, 25.0, 1.0

SETTINGS = ["-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off",
            "-ex", "set backtrace past-main on", "-ex", "set backtrace past-entry on"]
# Machine frames only, as harness/core/tests/unwind/debugger.rs asks for them.
FRAMES = """
import gdb
for thread in gdb.selected_inferior().threads():
    thread.switch()
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.type() in (gdb.NORMAL_FRAME, gdb.SIGTRAMP_FRAME, gdb.ARCH_FRAME):
            print('FRAME %d %d %s' % (thread.ptid[1], frame.pc(), frame.name()))
        frame = frame.older()
"""


class Held:
    """A crashed process that stands at its fault."""

    def __enter__(self):
        self.holder = subprocess.Popen([STACKS, "hold", PROGRAM, THREADS], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True)
        word, pid, _ = self.holder.stdout.readline().split()
        assert word == "HELD"
        return int(pid)

    def __exit__(self, *_):
        self.holder.stdin.close()
        self.holder.stdout.close()
        if self.holder.wait() != 0:
            sys.exit("error: `stacks hold` failed")


def once(command):
    """Wall and CPU in ms, peak in MB, and the output of a tool."""
    begun = time.perf_counter()
    tool = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)
    text = tool.stdout.read()
    _, _, used = os.wait4(tool.pid, 0)
    wall = time.perf_counter() - begun
    tool.returncode = 0
    tool.stdout.close()
    cpu = used.ru_utime + used.ru_stime
    # A process begins with our own memory, so that ours tells its peak itself.
    told = re.search(r"^TIME .*peak_kib (\d+)", text, re.MULTILINE)
    peak_kib = int(told[1]) if told else used.ru_maxrss
    return wall * 1e3, cpu * 1e3, peak_kib * 1024 / 1e6, text


def drop(*files):
    """Takes files out of the page cache."""
    for file in files:
        with open(file, "rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def tools(pid):
    """Each tool's own file and its command."""
    return {
        "hotfire": (STACKS, [STACKS, "attach", str(pid), "1"]),
        "eu-stack": (shutil.which("eu-stack"), ["eu-stack", "-p", str(pid)]),
        "gdb": (shutil.which("gdb"), ["gdb", *SETTINGS, "-p", str(pid), "-ex", "thread apply all bt"]),
    }


def ours(text):
    """Program counters and names of each thread."""
    chains, frames = {}, []
    for line in text.splitlines():
        if line.startswith("THREAD "):
            frames = chains.setdefault(int(line.split()[1]), [])
        elif line.startswith("FRAME "):
            _, pc, name = line.split(" ", 2)
            frames.append((int(pc, 16), name))
    return chains


def theirs(text):
    """The same of eu-stack."""
    chains, frames = {}, []
    for line in text.splitlines():
        if found := re.match(r"TID (\d+):", line):
            frames = chains.setdefault(int(found[1]), [])
        elif found := re.match(r"#\d+\s+0x([0-9a-f]+)(?: - 1)?\s*(\S.*)?", line):
            frames.append((int(found[1], 16), found[2] or "??"))
    return chains


def gdbs(pid):
    """The same of gdb, asked by a script of ours and not timed."""
    _, _, _, text = once(["gdb", *SETTINGS, "-p", str(pid), "-ex", f"python exec({FRAMES!r})"])
    chains = {}
    for line in text.splitlines():
        if line.startswith("FRAME "):
            _, thread, pc, name = line.split(" ", 3)
            name = "??" if name == "None" else name
            chains.setdefault(int(thread), []).append((int(pc), name))
    for frames in chains.values():
        # A thread that was just made has no caller; gdb goes on to an address that is none.
        if frames[-1][0] == 0:
            frames.pop()
    return chains


def plain(name):
    """A name without version and leading underscores, which tools treat differently."""
    return name.split("@")[0].lstrip("_")


class Agreement:
    """Threads whose frames are gdb's, and the names of their frames."""

    def __init__(self):
        self.threads = self.same = self.frames = self.named = self.same_names = 0

    def add(self, chains, reference):
        for thread, frames in reference.items():
            got = chains.get(thread, [])
            self.threads += 1
            self.frames += len(frames)
            if [pc for pc, _ in got] != [pc for pc, _ in frames]:
                continue
            self.same += 1
            for (_, name), (_, expected) in zip(got, frames):
                if "??" not in (name, expected):
                    self.named += 1
                    self.same_names += plain(name) == plain(expected)

    def describe(self):
        return f"{self.same} of {self.threads} ({self.same_names} of {self.named} names)"


def watched(runs):
    """Of a supervisor that sees the same crash again and again: a row of figures for each run."""
    done = subprocess.run([STACKS, "watch", str(runs), PROGRAM, THREADS], stdin=ZEROS, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    words = [line.split() for line in done.stdout.splitlines() if line.startswith("RUN ")]
    return [dict(zip(line[1::2], map(int, line[2::2]))) for line in words]


def end_to_end(meter):
    """Wall ms of the bare program, under `hotfire exec`, and under gdb."""
    bare = [str(PROGRAM), THREADS]
    commands = {
        "bare": (bare, (-11,)),
        "hotfire": ([str(HOTFIRE), "exec", "--", *bare], (100,)),
        "gdb": (["gdb", *SETTINGS, "-ex", "run", "-ex", "thread apply all bt", "-ex", "kill",
                 "--args", *bare], (0, 1)),
    }
    return {name: measure(meter, command, statuses)[0] * 1e3
            for name, (command, statuses) in commands.items()}


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    meter = CpuMeter()
    names = list(tools(0))
    cold, warm = {name: [] for name in names}, {name: [] for name in names}
    agree = {name: Agreement() for name in names[:2]}
    first, first_cold, again, whole = [], [], [], []
    for turn in range(rounds + 1):
        chilled = {}
        for name in names:
            drop(LIBRARY, PROGRAM, tools(0)[name][0])
            with Held() as pid:
                chilled[name] = once(tools(pid)[name][1])
        drop(LIBRARY, PROGRAM, STACKS)
        chilled_first = watched(1)[0]
        with Held() as pid:
            heated = {name: once(command) for name, (_, command) in tools(pid).items()}
            reference = gdbs(pid)
        runs = watched(1 + AGAIN)
        ends = end_to_end(meter)
        if turn == 0:
            continue  # It warms what nobody drops.
        for name in names:
            cold[name].append(chilled[name])
            warm[name].append(heated[name])
        agree["hotfire"].add(ours(heated["hotfire"][3]), reference)
        agree["eu-stack"].add(theirs(heated["eu-stack"][3]), reference)
        first_cold.append(chilled_first)
        first.append(runs[0])
        again.append({key: statistics.median(run[key] for run in runs[1:]) for key in runs[0]})
        whole.append(ends)
    meter.close()

    def ms(values, key):
        return middle([value[key] / 1e3 for value in values], 2)

    last = agree["hotfire"]
    print(f"{last.threads // rounds} threads, {last.frames / rounds:.0f} frames a crash; "
          f"median (least–greatest) of {rounds} interleaved rounds.\n")
    print("| tool | wall ms warm | wall ms cold | CPU ms warm | peak MB | threads with gdb's frames |")
    print("|---|---|---|---|---|---|")
    peak = middle([run["peak_kib"] * 1024 / 1e6 for run in again], 1)
    print(f"| hotfire, in its supervisor, first crash | {ms(first, 'held_us')} "
          f"| {ms(first_cold, 'held_us')} | {ms(first, 'cpu_us')} (whole run) | {peak} | |")
    print(f"| the same supervisor, the same crash again | {ms(again, 'held_us')} | – "
          f"| {ms(again, 'cpu_us')} (whole run) | {peak} | |")
    labels = {"hotfire": "hotfire's reader as a program that attaches", "eu-stack": "eu-stack",
              "gdb": "gdb -batch, thread apply all bt"}
    for name in names:
        columns = [middle([one[index] for one in warm[name]], digits)
                   for index, digits in ((0, 2), (1, 2), (2, 1))]
        chilled = middle([one[0] for one in cold[name]], 2)
        same = agree[name].describe() if name in agree else "–"
        print(f"| {labels[name]} | {columns[0]} | {chilled} | {columns[1]} | {columns[2]} | {same} |")
    print()
    over = {name: middle([one[name] - one["bare"] for one in whole], 1)
            for name in ("hotfire", "gdb")}
    print("From start to the printed report, less the program's own "
          f"{middle([one['bare'] for one in whole], 1)} ms: "
          f"`hotfire exec` {over['hotfire']} ms, `gdb -batch -ex run` {over['gdb']} ms.\n")
    held = statistics.median(run["held_us"] / 1e3 for run in first)
    repeated = statistics.median(run["held_us"] / 1e3 for run in again)

    def ratio(name, mine):
        return statistics.median(a[0] / b for a, b in zip(warm[name], mine))

    in_place = [run["held_us"] / 1e3 for run in first]
    attached = [one[0] for one in warm["hotfire"]]
    by_gdb = ratio("gdb", in_place)
    verdict("gdb by hotfire, signal to stacks", f"{by_gdb:.0f} (as a program that attaches: "
            f"{ratio('gdb', attached):.0f})", f"at least {GDB_AIM}", by_gdb >= GDB_AIM)
    by_eu = ratio("eu-stack", attached)
    verdict("eu-stack by hotfire, both as programs that attach", f"{by_eu:.1f}", "at least 1",
            by_eu >= 1)
    verdict("first crash, warm", f"{held:.2f} ms", f"at most {WARM_AIM_MS:.0f} ms",
            held <= WARM_AIM_MS)
    most = max(run["peak_kib"] * 1024 / 1e6 for run in again)
    verdict("peak memory of the supervisor", f"{most:.1f} MB", f"at most {PEAK_AIM_MB:.0f} MB",
            most <= PEAK_AIM_MB)
    verdict("repeated crash of a known build", f"{repeated:.2f} ms",
            f"at most {AGAIN_AIM_MS:.0f} ms", repeated <= AGAIN_AIM_MS)


main()
