"""What a child of its own costs: Hotfire's runs beside the bare system calls and nextest.

Each rival is timed with a small and a large count of children; the difference by the count is the
cost of one child, so that the start of the program itself drops out. The rivals take turns, round
by round, because a shared machine is faster at one hour than at another. CPU time is that of the
whole process tree, counted by a cgroup; without one, by what each process waited for, which misses
children that are reaped by a tracer or by nobody.

Use it through scripts/bench.sh isolation [ROUNDS].
"""

import statistics
import subprocess
import sys

from common import BUILD, CpuMeter, measure, middle, verdict

FEW_TESTS, MORE_TESTS = 20, 200
FORK_AIM, NEXTEST_AIM, SPAWN_AIM_US = 2.2, 20.0, 1500.0


def empty_tests(folder):
    """A crate with empty tests, for nextest to run each in a process of its own."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "Cargo.toml").write_text(
        '[package]\nname = "empty-tests"\nversion = "0.0.0"\nedition = "2024"\n\n[workspace]\n')
    names = [f"few_{n}" for n in range(FEW_TESTS)] + [f"more_{n}" for n in range(MORE_TESTS)]
    tests = "".join(f"#[test]\nfn {name}() {{}}\n" for name in names)
    (folder / "src/lib.rs").write_text(f"//! Empty tests, for a benchmark.\n\n{tests}")
    command = ["cargo", "nextest", "run", "--manifest-path", str(folder / "Cargo.toml"),
               "--target-dir", str(folder / "target"), "-j1", "--status-level", "none"]
    return lambda count: command + (["-E", "test(/^few_/)"] if count == FEW_TESTS else [])


def rivals(build):
    """Each rival: name, small count, large count, and the command for a count."""
    children, hotfire = str(build / "bench/children"), str(build / "release/hotfire")
    found = str(build / "bench/findings")

    def ours(mode):
        return lambda count: [hotfire, "run", "--plan", "exit", "--runs", str(count), "--mode",
                              mode, "-j1", "-q", "--seed", "1", "--out", found]

    listed = [
        ("bare fork, _exit, wait (C)", 100, 3100, lambda count: [children, "fork", str(count)]),
        ("hotfire, fork run", 64, 1344, ours("fork")),
        ("posix_spawn of hotfire (C)", 10, 210, lambda count: [
            children, "spawn", str(count), hotfire, "__host", "--plan", "exit"]),
        ("hotfire, spawn run", 10, 210, ours("spawn")),
    ]
    nextest = subprocess.run(["cargo", "nextest", "--version"], capture_output=True, text=True)
    if nextest.returncode == 0:
        command = empty_tests(build / "bench/empty-tests")
        listed.append(("cargo nextest, empty test", FEW_TESTS, FEW_TESTS + MORE_TESTS, command))
    else:
        print("SKIP bench-nextest: cargo-nextest is not installed", file=sys.stderr)
    return listed


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    meter = CpuMeter()
    listed = rivals(BUILD)
    wall, cpu = {}, {}
    for turn in range(rounds + 1):
        for name, small, large, command in listed:
            one = measure(meter, command(small))
            two = measure(meter, command(large))
            # The first round warms caches, and nextest builds its tests.
            if turn > 0:
                per_child = 1e6 / (large - small)
                wall.setdefault(name, []).append((two[0] - one[0]) * per_child)
                cpu.setdefault(name, []).append((two[1] - one[1]) * per_child)
    meter.close()

    names = [name for name, *_ in listed]
    fork, fork_run, spawn, spawn_run = names[:4]
    print(f"µs per child, median (least–greatest) of {rounds} interleaved rounds, one at a time;")
    print(f"CPU: user and system time of the whole process tree, {meter.describe()}.\n")
    print("| rival | wall | CPU | wall by bare fork | CPU by bare fork |\n|---|---|---|---|---|")
    for name in names:
        walls = [a / b for a, b in zip(wall[name], wall[fork])]
        cpus = [a / b for a, b in zip(cpu[name], cpu[fork])]
        print(f"| {name} | {middle(wall[name])} | {middle(cpu[name])} "
              f"| {middle(walls, 2)} | {middle(cpus, 2)} |")
    print()
    ratio = statistics.median(a / b for a, b in zip(wall[fork_run], wall[fork]))
    verdict("fork run by bare fork and wait", f"{ratio:.2f}", f"at most {FORK_AIM}",
            ratio <= FORK_AIM)
    for nextest in names[4:]:
        ratio = statistics.median(a / b for a, b in zip(wall[nextest], wall[fork_run]))
        verdict("nextest by fork run", f"{ratio:.1f}", f"at least {NEXTEST_AIM:.0f}",
                ratio >= NEXTEST_AIM)
    over = statistics.median(a - b for a, b in zip(wall[spawn_run], wall[spawn]))
    verdict("spawn run over posix_spawn of the same program", f"{over:,.0f} µs",
            f"at most {SPAWN_AIM_US:,.0f} µs", over <= SPAWN_AIM_US)


main()
