"""What the cases need, installed once into .cache/gallery: a virtual environment for each distinct
set of requirements, npm packages, or a build.

Deliberately absent: which cases there are, and running them.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tomllib

import runtimes

PYTHON = "3.11"
INSTALL_SECONDS_MAX = 3600
EXTRAS = pathlib.Path(__file__).with_name("environments.toml")


class SetUpFailed(Exception):
    """What a case needs can't be had here; says why."""


class Environments:
    """The folder of all of them."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.extras = tomllib.loads(EXTRAS.read_text())

    def heavy(self, case: pathlib.Path) -> str | None:
        """Why a case is not among the light ones."""
        names = [*packages(case), case.name]
        reasons = (self.extras.get(name, {}).get("heavy") for name in names)
        return next((reason for reason in reasons if reason), None)

    def command(self, case: pathlib.Path, runtime: str) -> tuple[list[str], dict[str, str]]:
        """The case's command line and what it needs in its environment, after installing."""
        match runtime:
            case "py":
                return [str(self.python(case)), str(case / "repro.py")], {}
            case "rust" if re.search(r"^npm: ", (case / "requirements.txt").read_text(), re.M):
                return self.build(case)
            case "rust":
                return self.crate(case)
            case _ if runtime in runtimes.COMMANDS:
                return self.program(case, runtime)
            case _:
                raise SetUpFailed(f"nothing here runs cases of the runtime {runtime}")

    def python(self, case: pathlib.Path) -> pathlib.Path:
        """The interpreter that sees the case's packages."""
        base = base_python()
        wanted = requirements(case)
        if not wanted:
            return base
        flags = []
        for name in packages(case):
            beside = self.extras.get(name, {}).get("requirements", [])
            wanted += beside
            flags += ["--no-deps"] if beside else []
        wanted = sorted(set(wanted))
        # Neutral names: what a report says must not be right for the folder's name.
        folder = self.folder / f"python-{digest([str(base), *wanted])}"

        def install() -> None:
            # The base's pip: one in each environment costs seconds.
            run([str(base), "-m", "venv", "--without-pip", str(folder)], folder)
            pip = [str(base), "-m", "pip", "--python", str(folder / "bin/python")]
            install = ["install", "--quiet", "--no-input", "--no-compile"]
            run([*pip, *install, *sorted(set(flags)), *wanted], folder)

        self.ready(folder, wanted, install)
        return folder / "bin/python"

    def build(self, case: pathlib.Path) -> tuple[list[str], dict[str, str]]:
        """A crate with one library of an npm package, loaded at run time."""
        text = (case / "requirements.txt").read_text()
        named = re.search(r"^npm: (\S+) -> (\S+) as (\w+)", text, re.M)
        if named is None:
            raise SetUpFailed("its requirements name no library")
        package, library, variable = named.groups()
        folder = self.folder / f"build-{digest([package, library, source_digest(case)])}"
        library_file = folder / "npm/package" / library

        def install() -> None:
            npm = folder / "npm"
            npm.mkdir(parents=True)
            run(["npm", "pack", "--silent", package], npm)
            [archive] = npm.glob("*.tgz")
            run(["tar", "-xzf", archive.name, f"package/{library}"], npm)
            archive.unlink()
            cargo(case, folder)

        self.ready(folder, [package], install)
        model = case.parent / "_common/tiny.onnx"
        program = folder / "target/debug" / case.name
        return [str(program), str(model)], {variable: str(library_file)}

    def crate(self, case: pathlib.Path) -> tuple[list[str], dict[str, str]]:
        """A crate with what it depends on."""
        folder = self.folder / f"build-{digest([source_digest(case)])}"
        self.ready(folder, requirements(case), lambda: cargo(case, folder))
        return [str(folder / "target/debug" / case.name)], {}

    def program(self, case: pathlib.Path, runtime: str) -> tuple[list[str], dict[str, str]]:
        """A program of an interpreter or a compiler that Debian has."""
        wanted = requirements(case)
        try:
            runtimes.require_debian(wanted)
        except runtimes.Missing as error:
            raise SetUpFailed(str(error)) from None
        sources = [file.read_text() for file in sorted(case.glob("repro.*"))]
        folder = self.folder / f"program-{digest([runtime, *wanted, *sources])}"

        def install() -> None:
            for step in runtimes.steps(runtime, case, folder, wanted):
                run(step, folder)

        self.ready(folder, wanted, install)
        return runtimes.command(runtime, case, folder), {"NODE_PATH": str(folder / "node_modules")}

    def ready(self, folder: pathlib.Path, wanted: list[str], install) -> None:
        """Installs unless that was done whole before: the stamp is written last, so an
        interrupted one is begun anew (what was downloaded, pip and npm still have)."""
        stamp = folder / "ready.json"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.with_suffix(".lock")):
            if stamp.exists():
                return
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing {', '.join(wanted)}", file=sys.stderr, flush=True)
            folder.mkdir()
            install()
            part = stamp.with_suffix(".part")
            part.write_text(json.dumps({"requirements": wanted}, indent=1) + "\n")
            part.rename(stamp)


def requirements(case: pathlib.Path) -> list[str]:
    """The pinned lines of requirements.txt, without comments."""
    lines = (line.split("#")[0].strip() for line in (case / "requirements.txt").read_text().splitlines())
    return [line for line in lines if line]


def packages(case: pathlib.Path) -> list[str]:
    """The names in it, of whatever registry."""
    text = "\n".join(requirements(case))
    return re.findall(r"^(?:npm: |cargo: )?([\w-]+)(?:==|@)", text, re.M)


def base_python() -> pathlib.Path:
    """The CPython that the pins are for."""
    if platform.python_version().startswith(PYTHON + "."):
        return pathlib.Path(sys.executable).resolve()
    found = shutil.which(f"python{PYTHON}")
    if found is None:
        raise SetUpFailed(f"CPython {PYTHON} is not installed")
    return pathlib.Path(found).resolve()


def digest(words: list[str]) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]


def cargo(case: pathlib.Path, folder: pathlib.Path) -> None:
    """Builds a case's crate in a folder of its own."""
    shutil.copytree(case / "src", folder / "src")
    # Not a member of the workspace that it lies in.
    manifest = (case / "Cargo.toml").read_text() + "\n[workspace]\n"
    (folder / "Cargo.toml").write_text(manifest)
    run(["cargo", "build", "--quiet", "--target-dir", "target"], folder)


def source_digest(case: pathlib.Path) -> str:
    files = [case / "Cargo.toml", *sorted((case / "src").rglob("*.rs"))]
    return digest([file.read_text() for file in files])


def run(command: list[str], folder: pathlib.Path) -> None:
    """A step of an installation; the end of what it said is the reason where it fails."""
    environment = dict(os.environ, CMAKE_BUILD_PARALLEL_LEVEL="1", PYTHONDONTWRITEBYTECODE="")
    try:
        result = subprocess.run(
            ["nice", "-n", "19", *command],
            cwd=folder if folder.exists() else folder.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        raise SetUpFailed(f"`{command[0]}` took over {INSTALL_SECONDS_MAX} s") from None
    except OSError as error:
        raise SetUpFailed(f"`{command[0]}` can't be run: {error.strerror}") from None
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        last = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        raise SetUpFailed(f"`{' '.join(command[:4])} …` ended with {result.returncode}: {last.strip()}")


@contextlib.contextmanager
def locked(path: pathlib.Path):
    """Two runs at a time don't install the same."""
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
