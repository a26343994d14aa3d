"""A row of the table: what was counted, how often it was good, and how often it must be."""

import dataclasses


@dataclasses.dataclass
class Row:
    """`good` of `of`; `skip` tells why nothing could be counted."""

    what: str
    expected: str
    command: str
    good: int = 0
    of: int = 0
    bound: int = 0
    skip: str = ""
    # Of deaths, as they were told: Markdown.
    classes: str = ""
    culprits: str = ""
    lines: str = ""
    misses: list[str] = dataclasses.field(default_factory=list)

    def holds(self) -> bool:
        """A row that counted nothing holds only when it says why."""
        return bool(self.skip) or (self.of > 0 and self.good >= self.bound)

    def tell(self) -> None:
        if self.skip:
            # The form that scripts/test.sh repeats in its summary.
            print(f"SKIP acceptance-{self.what.replace(' ', '-')}: {self.skip}", flush=True)
            return
        word = "PASS" if self.holds() else "FAIL"
        print(f"{word} {self.good}/{self.of} (at least {self.bound}) {self.what}", flush=True)


def table(rows: list[Row]) -> str:
    lines = [
        "| what | expected | good | bound | class | culprit | line |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        count = f"skipped: {row.skip}" if row.skip else f"{row.good} of {row.of}"
        bound = f"≥ {row.bound}" if row.of else ""
        mark = "" if row.holds() else " **missed**"
        death = f"{row.classes} | {row.culprits} | {row.lines}"
        lines.append(f"| {row.what} | {row.expected} | {count}{mark} | {bound} | {death} |")
    misses = [f"- {miss}" for row in rows for miss in row.misses]
    if misses:
        lines += ["", "Missed:", "", *misses]
    return "\n".join(lines) + "\n"
