"""Campaigns of the command: defects that must be caught, engines that must be silent.

Deliberately absent: the scenarios' own expectations. What is right stands here a second time, so
that a scenario that expects too little is seen.
"""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys

from row import Row

LIMIT_S = 120
# A processor's burner ends by itself, should nobody end it.
BURNER = "import time\nend = time.monotonic() + 3600\nwhile time.monotonic() < end: pass"
LLAMA = pathlib.Path(os.environ.get("HOTFIRE_LLAMA_DIR", ".cache/engines/llama"))


@dataclasses.dataclass(frozen=True)
class Left:
    """What a scenario's finding must say is left behind, in its loop of `TURNS` turns."""

    kind: str
    count: int = 0  # 0: any
    per_turn: tuple[float, float] | None = None  # the least and the most; None: not told

    def tell(self) -> str:
        if self.per_turn is None:
            return f", {self.count} of kind {self.kind}"
        least, most = self.per_turn
        slope = f"{least:+g}" if least == most else f"{least:+g} to {most:+g}"
        return f", {self.kind} {slope} per turn"


@dataclasses.dataclass(frozen=True)
class Death:
    """What a death must be told as; without the ledger, `unknown` is right, too."""

    classes: tuple[str, ...]  # none: any, because a race decides
    culprits: tuple[str, ...]  # each the begin of a function's name, or of a library's


@dataclasses.dataclass(frozen=True)
class Caught:
    """What a scenario must show, in all its plans; no step: any."""

    statuses: tuple[str, ...]
    phases: tuple[str, ...]
    steps: tuple[int, ...] = ()
    left: Left | None = None

    def tell(self) -> str:
        left = "" if self.left is None else self.left.tell()
        return f"{' or '.join(self.statuses)} in {' or '.join(self.phases)}{left}"


# The load-leak scenarios' loops, and the bytes of a model's memory: 13 pages. What an allocator
# gathers beside it may be one page in two turns.
TURNS = 20
MODEL_BYTES = 53_248
NOISE_BYTES = 2_048


# A race decides where in its sums a generate is met.
NETWORK = ("next_token(", "(anonymous namespace)::multiply_shared(")
DEATHS = {
    "swap-cleanup-order": Death(("use-after-free",), ("Model::unlink_tensor(",)),
    "fail-init-half-built": Death(("null-dereference",), ("Model::unlink_tensor(",)),
    "concurrent-generate-during-load": Death(("null-dereference",), NETWORK),
    "shutdown-exit-static-order": Death(("use-after-destruction",), ("Pool::work(",)),
    "load-heap-overflow": Death(("heap-corruption",), ("Engine::run(",)),
    "load-stack-overflow": Death(("stack-overflow",), ("(anonymous namespace)::fold_range(",)),
    "load-truncated-model": Death(("file-truncated",), ("Model::widen(",)),
    "concurrent-generate-uncaught": Death(("uncaught-exception",), ("Engine::check_cancelled(",)),
    "concurrent-generate-unloaded": Death(("use-after-free",), NETWORK),
    "shutdown-device-teardown": Death(("use-after-free",), ("SessionStore::clear(",)),
    "shutdown-double-cleanup": Death(("use-after-free",), ("Model::unlink_tensor(",)),
    "shutdown-joinable-thread": Death(("thread-not-joined",), ("Pool::stop(",)),
    "shutdown-pure-virtual": Death(("pure-virtual-call",), ("Periodic::work(",)),
    "shutdown-worker-outlives-engine": Death(("use-after-free",), ("Pool::work(",)),
}
DEFECTS = {
    "swap-cleanup-order": Caught(("SIGSEGV",), ("swap",), (3,)),
    "fail-init-half-built": Caught(("SIGSEGV",), ("cleanup",), (3,)),
    "concurrent-generate-during-load": Caught(("SIGSEGV",), ("generate", "load")),
    "swap-deadlock": Caught(("HANG",), ("swap", "generate")),
    "shutdown-exit-static-order": Caught(("EXIT-CRASH",), ("exit",)),
    "shutdown-orphan-worker": Caught(("ORPHANS",), ("exit",)),
    "load-leak-thread": Caught(("LEAK",), ("load",), (2,), Left("thread", per_turn=(1, 1))),
    "load-leak-fd": Caught(("LEAK",), ("load",), (2,), Left("fd", per_turn=(1, 1))),
    "load-leak-semaphore": Caught(("LEAK",), ("load",), (2,), Left("semaphore", count=TURNS)),
    "load-leak-memory": Caught(
        ("LEAK",),
        ("load",),
        (2,),
        Left("memory", per_turn=(MODEL_BYTES, MODEL_BYTES + NOISE_BYTES)),
    ),
    "load-accepts-illegal": Caught(("FAIL",), ("generate",), (2,)),
    "load-fork-after-compute": Caught(("HANG",), ("export",), (4,)),
    "load-freeze": Caught(("FROZEN",), ("export",), (3,)),
    "load-heap-overflow": Caught(("SIGABRT",), ("generate",), (4,)),
    "load-lost-wakeup": Caught(("HANG",), ("generate",), (3,)),
    "load-stack-overflow": Caught(("SIGSEGV",), ("generate",), (4,)),
    "load-truncated-model": Caught(("SIGBUS",), ("export",), (6,)),
    "concurrent-generate-uncaught": Caught(("SIGABRT",), ("generate",), (3,)),
    "concurrent-generate-unloaded": Caught(("SIGSEGV",), ("generate",), (4, 5)),
    "swap-torn": Caught(("FAIL",), ("generate",), (3,)),
    "shutdown-device-teardown": Caught(("SIGSEGV",), ("cleanup",), (4,)),
    "shutdown-double-cleanup": Caught(("SIGSEGV",), ("cleanup",), (5,)),
    "shutdown-joinable-thread": Caught(("SIGABRT",), ("cleanup",), (4,)),
    "shutdown-pure-virtual": Caught(("SIGABRT",), ("cleanup",), (4,)),
    "shutdown-worker-outlives-engine": Caught(("SIGSEGV",), ("cleanup",), (4,)),
}
HEALTHY = (
    "load",
    "load-reloads",
    "swap",
    "fail-init",
    "concurrent-generate",
    "shutdown",
    "swap-cleanup-order-fixed",
    "shutdown-exit-static-order-fixed",
    "concurrent-generate-awaited",
    "load-export-beside-loop",
    "load-freeze-fixed",
)
LLAMA_HEALTHY = tuple(
    f"llama-{name}"
    for name in (
        "load",
        "swap",
        "fail-init",
        "concurrent-generate",
        "shutdown",
        "reloads",
        "corrupt-file",
        "truncated-file",
    )
)
LLAMA_LIBRARIES = ("libllama", "libggml")
LLAMA_DEATHS = {
    "llama-free-model-first": Death(("use-after-free",), LLAMA_LIBRARIES),
    "llama-free-context-twice": Death(("double-free",), LLAMA_LIBRARIES),
    "llama-unlocked-generates": Death((), LLAMA_LIBRARIES),
}
LLAMA_MISUSE = {
    "llama-free-model-first": Caught(("SIGSEGV",), ("generate",), (4,)),
    "llama-free-context-twice": Caught(("SIGSEGV", "SIGABRT"), ("run",), (4,)),
    "llama-unlocked-generates": Caught(("SIGSEGV", "SIGABRT", "HANG"), ("generate",), (3, 4, 5, 6)),
}


class Stand:
    """Runs campaigns of one program, each with the same seeds.

    One seed alone (CI) runs each plan as often as its scenario says, because a single run of a
    race may miss it; the full counts make one run, and count the misses.
    """

    def __init__(self, program: str, folder: str, seeds: range, busy_seeds: range) -> None:
        self.program, self.folder = program, folder
        self.seeds, self.busy_seeds = seeds, busy_seeds

    def rows(self) -> collections.abc.Iterator[Row]:
        for flags in ([], ["--no-ledger"]):
            for name, wanted in DEFECTS.items():
                yield self.caught(name, wanted, flags)
        for flags in ([], ["--no-ledger"]):
            yield from self.silent(HEALTHY, flags, "")
        has_llama = (LLAMA / "tiny.gguf").is_file()
        with burners():
            healthy = HEALTHY + LLAMA_HEALTHY if has_llama else HEALTHY
            yield from self.silent(healthy, [], ", all processors busy", self.busy_seeds)
        if not has_llama:
            reason = f"{LLAMA} holds no llama.cpp; help: scripts/fetch-engines.sh llama"
            yield Row("llama", "", "hotfire run --engine llama", skip=reason)
            return
        yield from self.silent(LLAMA_HEALTHY, [], "")
        for name, wanted in LLAMA_MISUSE.items():
            yield self.caught(name, wanted, [])

    def caught(self, name: str, wanted: Caught, flags: list[str]) -> Row:
        row = Row(
            what=" ".join([name, *flags]),
            expected=wanted.tell(),
            command=self.words([name], flags),
            of=len(self.seeds),
            bound=bound(len(self.seeds)),
        )
        death = DEATHS.get(name) or LLAMA_DEATHS.get(name)
        seen = Seen(strict="--no-ledger" not in flags)
        for seed in self.seeds:
            report = self.campaign([name], seed, flags)
            wrong = None if report is None else why_not_caught(report, wanted)
            if report is not None and death is not None:
                wrong = wrong or seen.why_not_told(report, death)
            if report is not None and wrong is None:
                row.good += 1
            else:
                self.miss(row, seed, wrong or "no report")
        row.classes, row.culprits, row.lines = seen.cells()
        return row

    def silent(
        self, names: tuple[str, ...], flags: list[str], how: str, seeds: range | None = None
    ) -> list[Row]:
        """One campaign runs all scenarios; each has a row."""
        seeds = self.seeds if seeds is None else seeds
        rows = {
            name: Row(
                what=" ".join([name, *flags]) + how,
                expected="PASS, silent",
                command=self.words([name], flags),
                of=len(seeds),
                bound=len(seeds),
            )
            for name in names
        }
        for seed in seeds:
            report = self.campaign(list(names), seed, flags)
            for name, row in rows.items():
                wrong = "no report" if report is None else why_not_silent(report, name)
                if wrong is None:
                    row.good += 1
                else:
                    self.miss(row, seed, wrong)
        return list(rows.values())

    def campaign(self, names: list[str], seed: int, flags: list[str]) -> dict | None:
        files = [f"scenarios/{name}.toml" for name in names]
        command = [self.program, "run", *files, "--seed", str(seed), *flags]
        try:
            done = subprocess.run(
                [*command, "--json", "-", "--out", self.folder],
                capture_output=True,
                timeout=LIMIT_S,
                check=False,
            )
            return json.loads(done.stdout)
        except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
            print(f"  {error}", flush=True)
            return None

    def words(self, names: list[str], flags: list[str]) -> str:
        files = [f"scenarios/{name}.toml" for name in names]
        return " ".join(["hotfire run", *files, "--seed i", *flags])

    def miss(self, row: Row, seed: int, wrong: str) -> None:
        row.misses.append(f"{wrong}: `{row.command.replace('--seed i', f'--seed {seed}')}`")
        print(f"  missed: {row.misses[-1]}", flush=True)


class Seen:
    """The deaths of a row's campaigns: class, culprit and line, by how they were told."""

    NAMESPACE = "hotfire::reference::"

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.told: set[tuple[str, str, str]] = set()

    def why_not_told(self, report: dict, death: Death) -> str | None:
        for finding in report["findings"]:
            if "signal" not in finding:
                continue  # a race may end in a hang
            culprit = finding.get("culprit", {})
            module, function = culprit.get("module", ""), culprit.get("function", "")
            function = function.removeprefix(self.NAMESPACE)
            name = bare(function) if module == "hotfire" else f"{bare(function)} in {module}"
            file = os.path.basename(culprit.get("file", ""))
            line = f"{file}:{culprit['line']}" if "line" in culprit else ""
            self.told.add((finding["class"], name, line))
            right = not death.classes or finding["class"] in death.classes
            if not right and (self.strict or finding["class"] != "unknown"):
                return f"class {finding['class']}"
            if not any(name.startswith(death.culprits) for name in (function, module)):
                return f"culprit {name or 'unknown'}"
        return None

    def cells(self) -> tuple[str, str, str]:
        columns = [sorted({one[at] for one in self.told} - {""}) for at in range(3)]
        return tuple(", ".join(f"`{text}`" for text in column) for column in columns)


def bare(function: str) -> str:
    """Without parameters; `(anonymous namespace)` is none."""
    hidden = function.replace("(anonymous namespace)", "\0")
    return hidden.split("(")[0].replace("\0", "(anonymous namespace)")


def bound(count: int) -> int:
    """19 of 20; all of fewer."""
    return count - count // 20


def why_not_caught(report: dict, wanted: Caught) -> str | None:
    findings = {finding["id"]: finding for finding in report["findings"]}
    if not report["results"]:
        return "nothing ran"
    for result in report["results"]:
        finding = findings.get(result.get("finding", ""))
        if finding is None:
            return f"{result['status']} without a finding"
        step = finding.get("step", {}).get("index")
        if result["status"] not in wanted.statuses:
            return f"status {result['status']}"
        if finding["phase"] not in wanted.phases:
            return f"phase {finding['phase']}"
        if wanted.steps and step not in wanted.steps:
            return f"step {step}"
        if wanted.left is not None and (wrong := why_not_left(finding, wanted.left)):
            return wrong
        if result["verdict"] != "as-expected":
            return f"verdict {result['verdict']}"
    return None


def why_not_left(finding: dict, wanted: Left) -> str | None:
    left = [one for one in finding.get("left_behind", []) if one["kind"] == wanted.kind]
    if len(left) != 1:
        return f"left behind {finding.get('left_behind')}"
    if wanted.count and left[0]["count"] != wanted.count:
        return f"{left[0]['count']} of kind {wanted.kind}"
    if wanted.per_turn is None:
        return None
    slope = left[0].get("growth", {}).get("per_turn")
    least, most = wanted.per_turn
    return None if slope is not None and least <= slope <= most else f"slope {slope}"


def why_not_silent(report: dict, name: str) -> str | None:
    results = [result for result in report["results"] if result["scenario"] == name]
    if not results:
        return "nothing ran"
    for result in results:
        if result["status"] != "PASS" or result["failed"] or result.get("finding"):
            return f"{result['status']} of {result['plan']}"
    return None


@contextlib.contextmanager
def burners() -> collections.abc.Iterator[None]:
    """Every processor has something else to do, too."""
    processes = []
    try:
        for _ in range(os.cpu_count() or 1):
            processes.append(subprocess.Popen([sys.executable, "-c", BURNER]))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
