"""The page on tracing: its programs run, and what they send arrives at a receiver of OTLP as the page says."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

from tests.docs.test_documents import blocks_of, folder, run_page  # noqa: F401 (a fixture)
from tests.support.configs import ROOT
from tests.support.otlp_receiver import Receiver, receiver, spans_in, values  # noqa: F401 (a fixture)

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter is not installed")

PAGE = ROOT / "docs" / "tracing.md"
PROJECT = {
    "LANGFUSE_PUBLIC_KEY": "pk-lf-1",
    "LANGFUSE_SECRET_KEY": "sk-lf-" + "2" * 60,
    "LOGFIRE_TOKEN": "pylf_3",
}

pytestmark = pytest.mark.slow


def test_the_page_runs(
    folder: Path,  # noqa: F811
    receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    run_page(PAGE, folder, request.getfixturevalue)["orchestrator"].close()


def environment(service: str, url: str) -> Dict[str, str]:
    """What the commands of the page set, with the receiver in the service's place."""
    (commands,) = [
        block.text for block in blocks_of(PAGE) if block.language == "sh" and service in block.text
    ]
    script = re.sub(r"https://[\w.-]+", url, commands) + "env -0"
    shown = subprocess.run(
        ["sh", "-c", script], env={**os.environ, **PROJECT}, capture_output=True, text=True, check=True
    ).stdout
    return dict(line.split("=", 1) for line in shown.split("\0") if "=" in line)


@pytest.mark.skipif(sys.platform == "win32", reason="commands of a POSIX shell")
@pytest.mark.parametrize(
    ("service", "path", "authorization"),
    [
        (
            "LANGFUSE",
            "/api/public/otel/v1/traces",
            "Basic " + base64.b64encode(b"pk-lf-1:sk-lf-" + b"2" * 60).decode(),
        ),
        ("LOGFIRE", "/v1/traces", "pylf_3"),
    ],
)
def test_the_program_sends_its_spans(
    service: str, path: str, authorization: str, folder: Path, receiver: Receiver  # noqa: F811
) -> None:
    (program,) = [block.text for block in blocks_of(PAGE) if block.text.startswith("# traced.py")]
    (folder / "traced.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(folder / "traced.py")]
    env = {**environment(service, receiver.url), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=env, check=True, timeout=120, stdout=subprocess.DEVNULL)
    (export,) = receiver.received
    assert (export.path, export.authorization) == (path, authorization)
    call = values(next(span for span in spans_in(export.body) if span.name.startswith("chat ")).attributes)
    assert (call["session.id"], call["llm_orchestrator.tag.team"]) == ("visit-17", "docs")
    assert "Hello" in call["gen_ai.input.messages"]
