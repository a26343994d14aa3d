"""What `hotfire exec` costs a healthy program: one that computes, and one that starts threads.

Bare command and watched command take turns, round by round; each ratio is taken within a round, of
wall time from start to end, with all that `hotfire exec` does before and after. The amount of work
is found once, by the bare program. A traced thread start apart: threads started and joined one
after the other, less the bare time, by their number.

Use it through scripts/bench.sh exec [ROUNDS].
"""

import statistics
import sys

from common import BUILD, CpuMeter, measure, middle, verdict

WORK, HOTFIRE = str(BUILD / "bench/work"), str(BUILD / "release/hotfire")
SECONDS, STARTS_PER_SECOND, BARE_STARTS, AIM = 2.0, 100, 5000, 1.02


def watched(command):
    return [HOTFIRE, "exec", "--", *command]


def untraced(command):
    return [HOTFIRE, "exec", "--trace", "off", "--", *command]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    meter = CpuMeter()
    probe = min(measure(meter, [WORK, "compute", "200"])[0] for _ in range(3))
    units = round(200 * SECONDS / probe)
    starts = round(SECONDS * STARTS_PER_SECOND)
    programs = {
        "computes": [WORK, "compute", str(units)],
        f"computes, {STARTS_PER_SECOND} thread starts a second":
            [WORK, "threads", str(starts), str(max(1, round(units / starts)))],
        "starts threads only": [WORK, "threads", str(BARE_STARTS), "0"],
    }
    ways = {"bare": list, "watched": watched, "untraced": untraced}
    seen = {(name, way): [] for name in programs for way in ways}
    for turn in range(rounds + 1):
        for name, command in programs.items():
            for way, wrap in ways.items():
                figures = measure(meter, wrap(command))
                if turn > 0:
                    seen[name, way].append(figures)
    meter.close()

    def ratios(name, way, index):
        return [a[index] / b[index] for a, b in zip(seen[name, way], seen[name, "bare"])]

    print(f"Median (least–greatest) of {rounds} interleaved rounds; CPU {meter.describe()}.\n")
    print("| program | bare s | `exec` by bare, wall | CPU | `exec --trace off` by bare, wall |")
    print("|---|---|---|---|---|")
    for name in programs:
        bare = middle([one[0] for one in seen[name, "bare"]], 2)
        print(f"| {name} | {bare} | {middle(ratios(name, 'watched', 0), 3)} "
              f"| {middle(ratios(name, 'watched', 1), 3)} | {middle(ratios(name, 'untraced', 0), 3)} |")
    print()
    *aimed, apart = programs
    for name in aimed:
        wall, cpu = (statistics.median(ratios(name, "watched", index)) for index in (0, 1))
        verdict(f"`exec` by bare, {name}", f"{wall:.3f} (CPU {cpu:.3f})", f"at most {AIM}",
                wall <= AIM)
    for index, what in enumerate(("wall", "CPU of program and supervisor")):
        bare = [one[index] * 1e6 / BARE_STARTS for one in seen[apart, "bare"]]
        more = [(a[index] - b[index]) * 1e6 / BARE_STARTS
                for a, b in zip(seen[apart, "watched"], seen[apart, "bare"])]
        print(f"- a thread started and joined, {what}: {middle(bare, 1)} µs bare; "
              f"traced: {middle(more, 1)} µs more")


main()
