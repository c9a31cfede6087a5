"""``orchestrator.openai`` as instances of the OpenAI SDK's own classes, for what insists on them.

It needs the SDK (the extra ``openai``). What is asked of it goes to the orchestrator, and nothing to OpenAI.
"""

from __future__ import annotations

from typing import Any, NoReturn, Union

try:
    import openai
except ImportError as error:
    raise ImportError(
        'The OpenAI SDK is not installed. Run: pip install "llm-orchestrator[openai]".'
    ) from error

from llm_orchestrator.frameworks.openai.client import AsyncOpenAIClient, OpenAIClient

__all__ = ["AsyncOpenAI", "OpenAI"]

#: What the SDK's classes want to be made, and what no request is sent with.
UNUSED = {"api_key": "unused", "max_retries": 0}


class OpenAI(openai.OpenAI):  # type: ignore[misc]  # its types are not followed
    """``orchestrator.openai`` where an ``openai.OpenAI`` is asked for.

    Args:
        orchestrator: The orchestrator.
    """

    def __init__(self, orchestrator: Any) -> None:
        super().__init__(**UNUSED)
        _take_the_place_of_the_sdks(self, orchestrator.openai)

    def request(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse what the orchestrator has not, before the SDK sends it to OpenAI."""
        raise _not_there()

    def copy(self, **_: Any) -> NoReturn:
        """Refuse settings of a client, which the YAML file has."""
        raise _set_elsewhere()

    with_options = copy


class AsyncOpenAI(openai.AsyncOpenAI):  # type: ignore[misc]
    """``orchestrator.aopenai`` where an ``openai.AsyncOpenAI`` is asked for.

    Args:
        orchestrator: The orchestrator.
    """

    def __init__(self, orchestrator: Any) -> None:
        super().__init__(**UNUSED)
        _take_the_place_of_the_sdks(self, orchestrator.aopenai)

    async def request(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse what the orchestrator has not, before the SDK sends it to OpenAI."""
        raise _not_there()

    def copy(self, **_: Any) -> NoReturn:
        """Refuse settings of a client, which the YAML file has."""
        raise _set_elsewhere()

    with_options = copy


def _take_the_place_of_the_sdks(client: Any, ours: Union[OpenAIClient, AsyncOpenAIClient]) -> None:
    for name, part in vars(ours).items():
        setattr(client, name, part)


def _not_there() -> Exception:
    made: Exception = openai.OpenAIError(
        "An orchestrator has chat.completions, responses and embeddings alone. "
        "Use a client of the SDK for the rest."
    )
    return made


def _set_elsewhere() -> Exception:
    made: Exception = openai.OpenAIError(
        "The settings of a client are those of the provider's entry. Write them into the YAML file, or pass "
        "timeout and max_retries to the call."
    )
    return made
