"""The command ``init``: writes a configuration to start with."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import os
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, Optional

import typer
import yaml

from llm_orchestrator.cli.terminal import note, say
from llm_orchestrator.config.manager import DEFAULT_PATH, KEY_VARIABLES
from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.utils.packaged import packaged_text
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["init"]


def _starter() -> Dict[str, Any]:
    document: Dict[str, Any] = yaml.safe_load(packaged_text("llm_orchestrator.cli", "starter.yaml"))
    return document


def _complete(incomplete: str) -> List[str]:
    return [name for name in _starter()["entries"] if name.startswith(incomplete)]


def init(
    providers: Annotated[
        Optional[List[str]],
        typer.Argument(
            metavar="PROVIDER...",
            help="openai, anthropic, gemini, ollama or local; the first one is the active one.",
            autocompletion=_complete,
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        Optional[str],
        typer.Option("--model", "-m", metavar="NAME", help="The active model.", show_default=False),
    ] = None,
    file: Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="Where to write it.")] = Path(
        DEFAULT_PATH
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented configuration for the providers you choose."""
    starter = _starter()
    entries = starter["entries"]
    chosen = list(dict.fromkeys(providers or _asked_for(entries)))
    for name in chosen:
        if name not in entries:
            raise ConfigurationError(f"init has no entry for {name!r}. {did_you_mean(name, entries)}")
    _write(file, _text(starter, chosen, model or entries[chosen[0]]["model"]), force)
    say(f"Wrote {file}.")
    for step in _next_steps([entries[name] for name in chosen], chosen):
        note(step)


def _asked_for(entries: Iterable[str]) -> List[str]:
    names = ", ".join(entries)
    if not sys.stdin or not sys.stdin.isatty():
        raise ConfigurationError(
            f"No provider is chosen. Pass one or more of {names}, such as: llm-orchestrator init openai"
        )
    answer: str = typer.prompt(f"Which providers ({names})?", default="openai")
    return answer.replace(",", " ").split()


def _text(starter: Dict[str, Any], chosen: List[str], model: str) -> str:
    head = starter["head"].replace("{provider}", chosen[0]).replace("{model}", _scalar(model))
    bodies = [textwrap.indent(starter["entries"][name]["text"], "  ") for name in chosen]
    return str(head + "\n".join(bodies) + starter["tail"])


def _scalar(text: str) -> str:
    """The string as a YAML value, quoted where necessary."""
    return str(yaml.safe_dump(text, width=1000)).splitlines()[0]


def _write(file: Path, text: str, force: bool) -> None:
    try:
        with open(file, "w" if force else "x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{file} exists already. Pass another file with --file, or add --force."
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be written: {error.strerror}. Pass another file with --file."
        ) from None


def _next_steps(entries: List[Dict[str, Any]], names: List[str]) -> List[str]:
    usable = [entry for entry in entries if not _is_too_new(entry)]
    missing = dict.fromkeys(entry["extra"] for entry in usable if _lacks_extra(entry))
    steps = [_newer_python(name, entry) for name, entry in zip(names, entries) if _is_too_new(entry)]
    steps += [f'Install: pip install "llm-orchestrator[{",".join(missing)}]"'] if missing else []
    variables = [KEY_VARIABLES[name] for name in names if name in KEY_VARIABLES]
    steps += [f"Set the variable {name} to your key." for name in variables if not os.environ.get(name)]
    steps += [entry["hint"] for entry in usable if "file" in entry and not os.path.exists(entry["file"])]
    return [*steps, "Then: llm-orchestrator check"]


def _is_too_new(entry: Dict[str, Any]) -> bool:
    return sys.version_info < tuple(entry.get("python", ()))


def _newer_python(name: str, entry: Dict[str, Any]) -> str:
    return f"{name} needs Python {'.'.join(map(str, entry['python']))} or later: install with a newer Python."


def _lacks_extra(entry: Dict[str, Any]) -> bool:
    try:
        return "extra" in entry and find_spec(entry["module"]) is None
    except ModuleNotFoundError:  # its parent package is missing
        return True
