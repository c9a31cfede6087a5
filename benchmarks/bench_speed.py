"""Compare the library with the vendors' SDKs: calls, chunks, many calls at once, fresh processes, memory.

    python benchmarks/bench_speed.py [--json FILE] [--check] [SECTION ...]

Most times are CPU time, as a ratio within one run; a ratio of 0.5 is half the SDK's CPU. With ``--check`` the
exit code is 1 when a target is missed by more than 15 percent.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Callable, Dict, Iterator, List

from certificate import trusted_certificate
from contenders import TITLES
from figures import TOLERANCE, Figure, as_json, overview, table, verdict
from section_calls import calls, chunks, first_chunk
from section_in_flight import in_flight, many_calls
from section_memory import memory
from section_partial import partial_objects
from section_start import first_call, imports, start

SECTIONS: Dict[str, Callable[[Path], List[Figure]]] = {
    "calls": calls,
    "chunks": chunks,
    "partial objects": partial_objects,
    "in flight": in_flight,
    "start": start,
    "first chunk": first_chunk,
    "many calls": many_calls,
    "first call": first_call,
    "imports": imports,
    "memory": memory,
}
PACKAGES = ("openai", "anthropic", "google-genai", "httpx", "httpx2", "httptools")


def versions() -> Iterator[str]:
    """What is measured, for who compares tables."""
    yield f"Python {platform.python_version()}"
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:  # each generation of the SDKs has one of the HTTP libraries
            continue


def measured(names: List[str]) -> List[Figure]:
    """Run sections, and print the table of each."""
    figures: List[Figure] = []
    with trusted_certificate(), tempfile.TemporaryDirectory() as folder:
        for name in names:
            started = time.perf_counter()
            print(f"== {name}", flush=True)
            section = SECTIONS[name](Path(folder))
            print(table(section))
            print(f"That took {time.perf_counter() - started:.0f} seconds.\n", flush=True)
            figures += section
    return figures


def main() -> int:
    """Read the command line, measure, and print the tables."""
    parser = argparse.ArgumentParser(description="Compare the library with the vendors' SDKs.")
    parser.add_argument("sections", nargs="*", choices=[*SECTIONS, []], help="default: all of them")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed by over 15 %%")
    options = parser.parse_args()
    print(", ".join(versions()), flush=True)
    figures = measured(options.sections or list(SECTIONS))
    print(overview(figures, list(TITLES.values())))
    print(verdict(figures))
    if options.json:
        options.json.write_text(as_json(figures) + "\n")
    missed = [figure for figure in figures if figure.is_missed(TOLERANCE)]
    if options.check and missed:
        print(f"{len(missed)} targets are missed by more than {TOLERANCE:.0%}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
