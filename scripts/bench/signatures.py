"""Crashing runs per second, each with stacks, names and a signature.

The built-in engine crashes in each run (a use after free); two workers, fork mode, as in `run`. A
small and a large number of runs are timed, and the difference counts, so that the start of the
program and the few confirming runs in fresh processes drop out. Every run must have crashed, and
all of them must be one finding with one signature.

Use it through scripts/bench.sh signatures [ROUNDS].
"""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from common import BUILD, CpuMeter, measure, middle, verdict

HOTFIRE = str(BUILD / "release/hotfire")
CRASHING = "create a = reference:defect=cleanup-order; load a tiny; swap a engine=reference; exit"
HEALTHY = "create a = reference; load a tiny; swap a engine=reference; exit"
FEW, MANY, AIM = 200, 1200, 1000
WAYS = {
    "crashing": (CRASHING, "default"),
    "crashing, `--census off`": (CRASHING, "off"),
    "healthy": (HEALTHY, "default"),
    "healthy, `--census off`": (HEALTHY, "off"),
}


def timed(meter, folder, plan, census, runs):
    """Wall and CPU seconds of so many runs; all must have ended as the plan is written to."""
    report = Path(folder) / "report.json"
    command = [HOTFIRE, "run", "--plan", plan, "--runs", str(runs), "-j2", "-q", "--mode", "fork",
               "--seed", "1", "--out", folder, "--json", str(report)]
    command += [] if census == "default" else ["--census", census]
    crashing = plan == CRASHING
    figures = measure(meter, command, (100 if crashing else 0,))
    told = json.loads(report.read_text())
    signatures = {finding["signature"]["value"] for finding in told["findings"]}
    failed = told["summary"]["failed"]
    if (failed < runs or len(signatures) != 1) if crashing else failed:
        sys.exit(f"error: {failed} of {runs} runs failed, with {len(signatures)} signatures")
    return figures


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    meter = CpuMeter()
    rate, cpu = {name: [] for name in WAYS}, {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(rounds + 1):
            for name, (plan, census) in WAYS.items():
                few = timed(meter, folder, plan, census, FEW)
                many = timed(meter, folder, plan, census, MANY)
                if turn > 0:
                    rate[name].append((MANY - FEW) / (many[0] - few[0]))
                    cpu[name].append((many[1] - few[1]) / (MANY - FEW) * 1e6)
    meter.close()
    print(f"Median (least–greatest) of {rounds} interleaved rounds, `-j2`; "
          f"CPU of the whole process tree, {meter.describe()}.\n")
    print("| runs | a second | CPU µs a run |\n|---|---|---|")
    for name in WAYS:
        print(f"| {name} | {middle(rate[name])} | {middle(cpu[name])} |")
    print()
    for name in list(WAYS)[:2]:
        value = statistics.median(rate[name])
        verdict(f"runs a second with a signature, {name}", f"{value:,.0f}", f"at least {AIM:,}",
                value >= AIM)


main()
