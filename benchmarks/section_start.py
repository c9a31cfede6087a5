"""Fresh processes: imports, construction, and what it takes to a first answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Dict, List

import yaml
from contenders import DIALECTS, KEY, MODEL, QUESTION, TITLES, configuration
from figures import Figure, compared
from measure import Measured, canned_server, printed_by, programs_in_turns

START_TARGET = 0.40
FIRST_ANSWERS = {
    "chat": (
        "import openai; openai.OpenAI(api_key={key!r}, base_url='{url}/v1', max_retries=0).chat.completions"
        ".create(model={model!r}, messages=[{{'role': 'user', 'content': {question!r}}}])"
    ),
    "responses": (
        "import openai; openai.OpenAI(api_key={key!r}, base_url='{url}/v1', max_retries=0).responses"
        ".create(model={model!r}, input={question!r})"
    ),
    "anthropic": (
        "import anthropic; anthropic.Anthropic(api_key={key!r}, base_url={url!r}, max_retries=0).messages"
        ".create(model={model!r}, max_tokens=600, messages=[{{'role': 'user', 'content': {question!r}}}])"
    ),
    "gemini": (
        "from google import genai\n"
        "client = genai.Client(api_key={key!r}, http_options={{'base_url': {url!r}}})\n"
        "client.models.generate_content(model={model!r}, contents={question!r})"
    ),
}
OURS = """
import sys
from llm_orchestrator import LLMOrchestrator
LLMOrchestrator({file!r}).for_provider({entry!r}, {model!r}).send_request({question!r}, max_tokens=600)
"""
NO_SDK = "assert not {'openai', 'anthropic', 'google.genai'} & set(sys.modules), 'an SDK was imported'"

#: Prints the milliseconds of the first call, after what the place before it says.
FIRST_CALL = """
import time
from llm_orchestrator import LLMOrchestrator
ours = LLMOrchestrator({file!r}).for_provider({entry!r}, {model!r})
{before}
started = time.perf_counter()
ours.send_request({question!r}, max_tokens=600)
print((time.perf_counter() - started) * 1000)
"""


def imports(folder: Path) -> List[Figure]:
    """CPU time of the import and of the construction, less that of an empty program."""
    file = _in_yaml(_configuration_file("https://127.0.0.1:1", folder, "direct"))
    measured = programs_in_turns(
        {
            "nothing": "pass",
            "pydantic": "import pydantic",
            "pydantic and yaml": "from pydantic import BaseModel; import yaml",
            "import": "import llm_orchestrator",
            "construct": f"from llm_orchestrator import LLMOrchestrator; LLMOrchestrator({file!r})",
        },
        turns=9,
    )
    nothing = min(measured["nothing"])
    net = {name: [max(figure - nothing, 1.0) for figure in figures] for name, figures in measured.items()}
    ours_theirs = (("import", "pydantic", 0.5), ("construct", "pydantic and yaml", 1.5))
    return [
        compared(
            ours, f"beside {theirs}", {"ours": net[ours], "theirs": net[theirs]}, target=target, unit="ms"
        )
        for ours, theirs, target in ours_theirs
    ]


def start(folder: Path) -> List[Figure]:
    """CPU time of a fresh process to its first answer, over TLS; ours imports no SDK.

    The configuration is in JSON, which takes no PyYAML; what a file in YAML adds is a figure of its own.
    """
    with canned_server(tls=True) as url:
        file = _configuration_file(url, folder, "direct")
        programs: Dict[str, str] = {}
        for dialect, program in FIRST_ANSWERS.items():
            asked = {"file": file, "model": MODEL, "question": QUESTION}
            programs[f"{dialect} ours"] = OURS.format(entry=dialect, **asked) + NO_SDK
            programs[f"{dialect} theirs"] = program.format(key=KEY, url=url, model=MODEL, question=QUESTION)
        asked = {"file": _in_yaml(file), "model": MODEL, "question": QUESTION}
        programs["chat yaml"] = OURS.format(entry="chat", **asked) + NO_SDK
        measured = programs_in_turns(programs, turns=5)
    in_yaml = {"ours": measured["chat yaml"], "theirs": measured["chat theirs"]}
    return [
        compared(
            "process to first answer",
            TITLES[dialect],
            {name: measured[f"{dialect} {name}"] for name in ("ours", "theirs")},
            target=START_TARGET,
            unit="ms",
            is_cell=True,
        )
        for dialect in DIALECTS
    ] + [compared("the same, from YAML", TITLES["chat"], in_yaml, target=None, unit="ms")]


def first_call(folder: Path) -> List[Figure]:
    """The first call of a process, by the clock, with and without ``warm_up``, on both transports."""
    figures = []
    with canned_server(tls=True) as url:
        file = _configuration_file(url, folder, "direct", "sdk")
        for dialect in DIALECTS:
            for entry, transport in ((dialect, ""), (f"{dialect}-sdk", ", on sdk")):
                asked = {"file": file, "entry": entry, "model": MODEL, "question": QUESTION}
                programs = {
                    "ours": FIRST_CALL.format(before="ours.warm_up().join()", **asked),
                    "theirs": FIRST_CALL.format(before="", **asked),
                }
                measured: Measured = {name: [] for name in programs}
                for _ in range(3):
                    for name, program in programs.items():
                        measured[name].append(float(printed_by(sys.executable, "-c", program)))
                what = f"first call after warm_up{transport}"
                figures.append(compared(what, TITLES[dialect], measured, target=None, unit="ms"))
    return sorted(figures, key=lambda figure: figure.what)


def _configuration_file(url: str, folder: Path, *transports: str) -> str:
    file = folder / "config.json"
    file.write_text(json.dumps(configuration(url, folder / "start.csv", transports)))
    return str(file)


def _in_yaml(file: str) -> str:
    """The same configuration as most people write it, in a file beside."""
    written = Path(file).with_suffix(".yaml")
    written.write_text(yaml.safe_dump(json.loads(Path(file).read_text())))
    return str(written)
