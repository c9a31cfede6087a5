"""What the OpenAI adapter decides itself: the API of a call, the names of the host, failures, the listing."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    InvalidResponseError,
    ModelNotFoundError,
    QuotaExceededError,
    UnsupportedParameterError,
)
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.openai_adapter import OpenAIAdapter
from llm_orchestrator.types import Message, ModelInfo
from tests.support.shapes.openai_shapes import CHAT, USER, Json, read, request

OWN = [
    None,
    "https://api.openai.com/v1",
    "https://eu.api.openai.com/v1",
    "https://us.api.openai.com/v1/",
    "https://team.openai.azure.com/openai/v1",
    "https://team.openai.azure.com/openai/v1/",
]
COMPATIBLE = [
    "http://localhost:11434/v1",
    "https://api.openai.com.example.org/v1",
    "https://notapi.openai.com/v1",
    "https://team.openai.azure.com/openai/deployments/d",
    "https://team.openai.azure.com/openai/v1beta",
]


def adapter(base_url: Optional[str] = None, name: str = "openai", **settings: Any) -> OpenAIAdapter:
    return OpenAIAdapter(name, base_url=base_url, **settings)


@pytest.mark.parametrize("base_url", OWN)
def test_openais_own_hosts(base_url: Optional[str]) -> None:
    own = adapter(base_url, name="work")
    assert (own.model_kinds, own.price_provider) == ("openai", "openai")
    wire = own.build_request(request(max_tokens=5), stream=False)
    assert wire.body is not None
    assert (wire.api, wire.body["max_output_tokens"]) == ("responses", 5)
    chat = adapter(base_url, api="chat").build_request(request(max_tokens=5), stream=False)
    assert chat.body is not None and chat.body["max_completion_tokens"] == 5


@pytest.mark.parametrize("base_url", COMPATIBLE)
def test_compatible_hosts(base_url: str) -> None:
    other = adapter(base_url, name="ollama")
    assert (other.model_kinds, other.price_provider) == ("openai-compatible", "ollama")
    wire = other.build_request(request(max_tokens=5), stream=False)
    assert wire.body is not None
    assert (wire.api, wire.path, wire.body["max_tokens"]) == ("chat", "/chat/completions", 5)
    assert other.client_arguments()["api_key"]


@pytest.mark.parametrize(
    "parameters", [{"stop": ("x",)}, {"seed": 0}, {"frequency_penalty": 0.0}, {"presence_penalty": 0.5}]
)
def test_a_parameter_that_only_chat_knows_takes_the_call_there(parameters: Json) -> None:
    assert adapter().build_request(request(**parameters), stream=False).api == "chat"
    assert adapter(api="responses").build_request(request(**parameters), stream=False).api == "responses"


@pytest.mark.parametrize(
    ("api", "other", "state"),
    [
        (
            "chat",
            "responses",
            {"api": "responses", "output": [{"type": "reasoning", "encrypted_content": "x"}]},
        ),
        ("responses", "chat", {"api": "chat", "message": {"role": "assistant", "reasoning_details": []}}),
    ],
)
def test_state_of_the_other_api_is_left_out_with_a_warning(api: str, other: str, state: Json) -> None:
    turn = Message("assistant", "Yo", provider="openai", provider_state=state)
    wire = adapter(api=api).build_request(request(USER, turn, USER), stream=False)
    assert len(wire.warnings) == 1 and f"goes to {api}" in wire.warnings[0]
    assert "reasoning" not in str(wire.body)
    assert adapter(api=other).build_request(request(USER, turn, USER), stream=False).warnings == ()


def test_an_api_that_does_not_exist() -> None:
    with pytest.raises(ConfigurationError, match="auto, responses, chat"):
        adapter(api="completions")


@pytest.mark.parametrize(
    ("status", "body", "error", "code"),
    [
        (401, {"error": {"message": "m", "code": "invalid_api_key"}}, AuthenticationError, "invalid_api_key"),
        (
            429,
            {"error": {"message": "m", "type": "insufficient_quota"}},
            QuotaExceededError,
            "insufficient_quota",
        ),
        (404, {"error": {"message": "m", "code": "model_not_found"}}, ModelNotFoundError, "model_not_found"),
        (400, {"error": {"message": "m", "code": "model_not_found"}}, ModelNotFoundError, "model_not_found"),
        (
            404,
            {"error": {"message": "only supported in v1/responses", "code": None}},
            ModelNotFoundError,
            None,
        ),
        (400, {"error": {"message": "m", "code": 400}}, InvalidRequestError, "400"),
        (400, {"error": "plain words"}, InvalidRequestError, None),
        (422, {"detail": [{"loc": ["body"]}]}, InvalidRequestError, None),
        (
            400,
            {"object": "error", "message": "maximum context length", "type": "BadRequestError", "code": 400},
            ContextLengthError,
            "400",
        ),
        (404, {"message": "Not here.", "code": "gone"}, ModelNotFoundError, "gone"),
    ],
)
def test_error_bodies(status: int, body: Json, error: Any, code: Optional[str]) -> None:
    found = error_of_failure(CHAT.parse_failure(body, status, {}))
    assert type(found) is error
    assert (found.status_code, found.code) == (status, code)
    assert str(found)


def test_a_rejected_parameter_is_named() -> None:
    body = {"error": {"message": "m", "code": "unsupported_value", "param": "reasoning.effort"}}
    found = error_of_failure(CHAT.parse_failure(body, 400, {}))
    assert isinstance(found, UnsupportedParameterError)
    assert found.parameter == "reasoning_effort"


def test_the_listing() -> None:
    body = {
        "data": [
            {"id": "a", "created": 1700000000, "shutdown_date": "2027-01-14"},
            {"id": "b", "created": None},
            {"id": "c", "created": 10**30},
            {"id": None},
            "odd",
        ]
    }
    assert CHAT.parse_models(body) == (
        [
            ModelInfo("a", "openai", created_at="2023-11-14T22:13:20+00:00", retires_at="2027-01-14"),
            ModelInfo("b", "openai"),
            ModelInfo("c", "openai"),
        ],
        None,
    )
    with pytest.raises(InvalidResponseError, match="not a list of models"):
        CHAT.parse_models({"data": None})


def test_a_models_name_is_one_part_of_the_path() -> None:
    assert CHAT.model_request("org/model:2").path == "/models/org%2Fmodel%3A2"


def test_a_reply_names_the_entry_that_made_it() -> None:
    body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    response = adapter("http://localhost/v1", name="ollama").parse_reply(body, {})
    assert response.provider == "ollama"
    assert response.message is not None and response.message.provider == "ollama"
    assert read(body).provider == "openai"
