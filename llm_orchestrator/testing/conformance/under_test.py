"""``ProviderUnderTest``: what the author of a provider writes, how to make it and what its server sends."""

from __future__ import annotations

from typing import Any, ClassVar, Mapping, Optional, Sequence, Union

from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.reply_server import ReplyServer
from llm_orchestrator.types import JSON

__all__ = ["Body", "ProviderUnderTest"]

#: A JSON value or, where the protocol is not JSON, the bytes that are sent.
Body = Union[JSON, bytes]


class ProviderUnderTest:
    """How to make the provider under test, and what its server sends.

    Documents and events are JSON values or, where the protocol is not JSON, the bytes that are sent. A JSON
    event is sent as a server-sent event.

    Attributes:
        not_applicable: Names of scenarios that cannot apply, each with its reason.
        server: The server that takes the place of the provider's; where the protocol is not HTTP, call its
            ``take`` to get the replies.
    """

    not_applicable: ClassVar[Mapping[str, str]] = {}
    server: ReplyServer

    def provider(self, url: str, **settings: Any) -> BaseLLMProvider:
        """Make the provider.

        Args:
            url: The address of its server.
            **settings: Further arguments of the provider, such as ``api_key`` and ``timeout``.

        Returns:
            A new provider.

        Raises:
            NotImplementedError: The test class does not define it.
        """
        raise NotImplementedError(
            "Write provider(self, url, **settings): it returns the provider under test."
        )

    def whole(self, answer: Answer) -> Body:
        """Write an answer as the provider's server sends it to a request without streaming.

        Args:
            answer: The answer.

        Returns:
            The document.

        Raises:
            NotImplementedError: The test class does not define it.
        """
        raise NotImplementedError("Write whole(self, answer): it returns the document of a whole answer.")

    def stream(self, answer: Answer) -> Sequence[Body]:
        """Write an answer as the provider's server streams it.

        Args:
            answer: The answer.

        Returns:
            The events, at least one for each piece of the text, and an end that says the answer is complete.

        Raises:
            NotImplementedError: The test class does not define it.
        """
        raise NotImplementedError("Write stream(self, answer): it returns the events of a streamed answer.")

    def failure(self, status: int, message: str) -> Body:
        """Write a failure as the provider's server reports it.

        Args:
            status: HTTP status of the reply.
            message: The error message.

        Returns:
            The document.
        """
        return {"error": {"message": message}}

    def listing(self, models: Sequence[str]) -> Optional[JSON]:
        """Write the list of models as the provider's server sends it.

        Args:
            models: Names of the models.

        Returns:
            The document, with all models on one page; None when the provider does not list its models.
        """
        return None

    def model(self, name: str) -> Optional[JSON]:
        """Write what the provider's server sends about one model.

        Args:
            name: The model's name.

        Returns:
            The document; None when the provider has no such request.
        """
        return None
