"""The suites that LangChain gives to authors of chat models, on the scripted server in each dialect.

Five of their tests are skipped: a key from the environment (it comes with the YAML file), a model as JSON (it holds an
orchestrator), images and files in the results of tools (providers take them in the user's turns alone), and the
time of recorded streams (nothing is recorded).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Dict, Iterator, Type

import pytest

from llm_orchestrator import LLMOrchestrator
from tests.frameworks.played_model import played_model
from tests.support.scripted_server import MODEL, Dialect, ScriptedServer

pytest.importorskip("langchain_tests", reason="langchain-tests is not installed: make test-frameworks")

from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from llm_orchestrator.frameworks.langchain import ChatOrchestrator

#: Tests that a provider's API has nothing for, and why.
CANNOT = {
    ("test_stop_sequence", "responses"): "OpenAI's Responses API has no stop sequences",
    ("test_json_mode", "anthropic"): "Anthropic answers in JSON only by a schema",
    ("test_audio_inputs", "anthropic"): "Anthropic takes no sound",
    ("test_audio_inputs", "responses"): "OpenAI's Responses API takes no sound",
}
#: What the suites would download.
FILES = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-1.4", "wav": b"RIFF"}


def downloaded(url: str, **_: Any) -> SimpleNamespace:
    """In place of a download, which the tests have no network for."""
    return SimpleNamespace(content=FILES[url.rpartition(".")[2]])


class OnTheScriptedServer:
    """What the suites ask of a test class: the model, and what it can do."""

    @pytest.fixture(autouse=True)
    def _orchestrator(
        self,
        server: ScriptedServer,
        dialect: Dialect,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[None]:
        server.default = played_model
        monkeypatch.setattr("httpx.get", downloaded)
        monkeypatch.setenv("LANGCHAIN_TESTS_USER_AGENT", "nobody, for nothing is downloaded")
        if (request.function.__name__, dialect.name) in CANNOT:
            reason = CANNOT[request.function.__name__, dialect.name]
            request.applymarker(pytest.mark.xfail(reason=reason))
        with LLMOrchestrator(dialect.config(server.url, max_retries=0)) as orchestrator:
            self.orchestrator = orchestrator
            yield

    @property
    def chat_model_class(self) -> Type[Any]:
        return ChatOrchestrator

    @property
    def chat_model_params(self) -> Dict[str, Any]:
        return {"orchestrator": self.orchestrator, "model": MODEL}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_audio_inputs(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "scripted-2"


class TestUnits(OnTheScriptedServer, ChatModelUnitTests):
    pass


@pytest.mark.filterwarnings("ignore:OpenAI may require a filename")  # LangChain's, for files without one
class TestIntegration(OnTheScriptedServer, ChatModelIntegrationTests):
    pass
