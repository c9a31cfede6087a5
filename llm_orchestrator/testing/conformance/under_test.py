"""What the author of a provider tells the scenarios: how to make it, and how its server speaks."""

from __future__ import annotations

from typing import Any, ClassVar, Iterator, Mapping, Optional, Sequence, Union

import pytest

from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.testing.conformance.answer import Answer
from llm_orchestrator.testing.conformance.bench import STREAMED, WAYS, Bench
from llm_orchestrator.testing.reply_server import ReplyServer
from llm_orchestrator.types import JSON

__all__ = ["ProviderUnderTest"]


class ProviderUnderTest:
    """How to make the provider under test, and what its server would send.

    Documents and events are given as JSON values or, where the protocol is not JSON, as the bytes that
    travel. A JSON event travels as a server-sent event.

    Attributes:
        not_applicable: Names of scenarios that cannot apply, each with its reason.
        server: The server that plays the provider's; a provider that is not asked over HTTP can have its
            stand-in ``take`` the replies there.
    """

    not_applicable: ClassVar[Mapping[str, str]] = {}
    server: ReplyServer

    def provider(self, url: str, **settings: Any) -> BaseLLMProvider:
        """Make the provider.

        Args:
            url: Where its server is.
            **settings: Further arguments of the provider, such as ``api_key`` and ``timeout``.

        Returns:
            A new provider.

        Raises:
            NotImplementedError: The author did not write it.
        """
        raise NotImplementedError("Write provider(self, url, **settings): it makes the provider under test.")

    def whole(self, answer: Answer) -> Union[JSON, bytes]:
        """Write an answer as the provider's server sends it whole.

        Args:
            answer: What to say.

        Returns:
            The document.

        Raises:
            NotImplementedError: The author did not write it.
        """
        raise NotImplementedError("Write whole(self, answer): the document of a whole answer.")

    def stream(self, answer: Answer) -> Sequence[Union[JSON, bytes]]:
        """Write an answer as the provider's server streams it.

        Args:
            answer: What to say.

        Returns:
            The events, at least one for each piece of the text, and an end that says the answer is complete.

        Raises:
            NotImplementedError: The author did not write it.
        """
        raise NotImplementedError("Write stream(self, answer): the events of a streamed answer.")

    def failure(self, status: int, message: str) -> Union[JSON, bytes]:
        """Write a failure as the provider's server reports it.

        Args:
            status: HTTP status of the reply.
            message: The words for people.

        Returns:
            The document.
        """
        return {"error": {"message": message}}

    def listing(self, models: Sequence[str]) -> Optional[JSON]:
        """Write the listing of models as the provider's server sends it.

        Args:
            models: Names of the models.

        Returns:
            The document, all models on one page; None when the provider has no listing.
        """
        return None

    def model(self, name: str) -> Optional[JSON]:
        """Write what the provider's server says of one model.

        Args:
            name: The model's name.

        Returns:
            The document; None when the provider cannot be asked.
        """
        return None

    # ---------------------------------------------------------------- fixtures of the scenarios

    @pytest.fixture(autouse=True)
    def _skip_what_cannot_apply(self, request: pytest.FixtureRequest) -> None:
        unknown = [name for name in self.not_applicable if not hasattr(self, name)]
        assert not unknown, f"not_applicable names scenarios that do not exist: {', '.join(unknown)}"
        reason = self.not_applicable.get(request.node.originalname)
        if reason:
            pytest.skip(reason)

    @pytest.fixture
    def bench(self) -> Iterator[Bench]:
        """The provider's server, and the provider when it is asked for."""
        with ReplyServer() as self.server, Bench(self, self.server) as bench:
            yield bench

    @pytest.fixture(params=WAYS)
    def way(self, request: pytest.FixtureRequest) -> str:
        """Each of the four ways of calling in turn."""
        return str(request.param)

    @pytest.fixture(params=STREAMED)
    def streamed_way(self, request: pytest.FixtureRequest) -> str:
        """Both ways of streaming in turn."""
        return str(request.param)
