"""What runs cases that are neither Python programs nor crates: Debian's interpreters, npm packages
beside Node's, and Go's compiler.

Deliberately absent: installing Debian packages. What is missing is said.
"""

import pathlib
import re
import subprocess


class Missing(Exception):
    """A Debian package that a case needs; says how to get it."""


# The program's file is {case}/repro…, what npm or a compiler made is in {folder}.
COMMANDS = {
    "go": ["{folder}/program"],
    # A small heap, so that its limit is met in a second and not in minutes.
    "java": ["java", "-Xmx600m", "-cp", "/usr/share/java/*", "{case}/Repro.java"],
    "node": ["node", "--max-old-space-size=32", "{case}/repro.js"],
    "perl": ["perl", "{case}/repro.pl"],
    "php": ["php", "{case}/repro.php"],
    "ruby": ["ruby", "{case}/repro.rb"],
    "sqlite": ["sqlite3", ":memory:", ".read {case}/repro.sql"],
}


def command(runtime: str, case: pathlib.Path, folder: pathlib.Path) -> list[str]:
    return [word.format(case=case, folder=folder) for word in COMMANDS[runtime]]


def steps(runtime: str, case: pathlib.Path, folder: pathlib.Path, wanted: list[str]) -> list[list[str]]:
    """The commands that make what the program needs, run once in `folder`."""
    packages = [line.removeprefix("npm: ") for line in wanted if line.startswith("npm: ")]
    if packages:
        # Only what the packages ship: no builds, no downloads of their own.
        return [["npm", "install", "--silent", "--no-save", "--ignore-scripts", *packages]]
    if runtime == "go":
        # Debian's Go libraries are laid out as a GOPATH.
        variables = ["GO111MODULE=off", "GOPATH=/usr/share/gocode", f"GOCACHE={folder}/cache"]
        built = ["go", "build", "-o", f"{folder}/program", f"{case}/repro.go"]
        return [["env", *variables, *built]]
    return []


def require_debian(wanted: list[str]) -> None:
    """Whether the packages of the `debian:` lines are installed, in the version that they begin."""
    for line in wanted:
        named = re.fullmatch(r"debian: (\S+) (\S+)", line)
        if named is None:
            continue
        package, version = named.groups()
        if not installed(package).startswith(version):
            raise Missing(f"{package} {version} is not installed: apt-get install {package}")


def installed(package: str) -> str:
    """Its version, or nothing."""
    query = ["dpkg-query", "-W", "-f", "${Version}", package]
    try:
        result = subprocess.run(query, capture_output=True, text=True, timeout=60)
    except OSError:
        return ""
    return result.stdout if result.returncode == 0 else ""
