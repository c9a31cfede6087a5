"""What the adapters of the vendors' SDKs share: their clients, the one call, and errors about both."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Dict, Mapping, Optional

from llm_orchestrator.exceptions import ConfigurationError, ProviderError
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.http.clients import Clients
from llm_orchestrator.providers.wire import Endpoint, Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON

if TYPE_CHECKING:
    from llm_orchestrator.providers.direct import AsyncDirectTransport, DirectTransport

__all__ = ["SDKProvider"]

AUTO, DIRECT = "auto", "direct"


class SDKProvider(BaseLLMProvider):
    """A provider that talks through a vendor's SDK. Derive from it and write ``make_client`` and its twin."""

    #: The extra that installs what the adapter needs.
    extra: ClassVar[str] = ""
    #: Whether the adapter can go without the SDK; ``endpoint`` then says where to.
    can_go_direct: ClassVar[bool] = False

    def __init__(
        self, name: str, *, transport: str = AUTO, http: Optional[Mapping[str, Any]] = None, **settings: Any
    ) -> None:
        super().__init__(name, **settings)
        self._http = dict(http or {})
        self.is_direct = self._goes_direct(transport)
        self._clients: Clients[Any, Any] = Clients(
            make=self._make_direct if self.is_direct else self.make_client,
            make_async=self._make_async_direct if self.is_direct else self.make_async_client,
            close=self.close_client,
            aclose=self.aclose_client,
            redactor=self.redactor,
        )

    def _goes_direct(self, transport: str) -> bool:
        if transport == DIRECT and not self.can_go_direct:
            raise ConfigurationError(
                f"Provider {self.name!r} has transport: direct, but its credential is made by the SDK. "
                "Use transport: sdk, or leave it out."
            )
        return transport == DIRECT  # ``auto`` is the SDK until the direct transport keeps all promises

    def endpoint(self) -> Endpoint:
        """Where the API is and which headers carry the credential, for the direct transport."""
        raise NotImplementedError

    def _make_direct(self) -> DirectTransport:
        from llm_orchestrator.providers.direct import DirectTransport  # only who goes direct needs its parser
        from llm_orchestrator.providers.http.core.settings import HttpSettings

        return DirectTransport(self.endpoint(), HttpSettings(**self._http))

    def _make_async_direct(self) -> AsyncDirectTransport:
        from llm_orchestrator.providers.direct import AsyncDirectTransport
        from llm_orchestrator.providers.http.core.settings import HttpSettings

        return AsyncDirectTransport(self.endpoint(), HttpSettings(**self._http))

    def make_client(self) -> Any:
        """Make the SDK's client for threads."""
        raise NotImplementedError

    def make_async_client(self) -> Any:
        """Make the SDK's client for one event loop; called in a thread, for importing an SDK takes long."""
        raise NotImplementedError

    # Static, for a client is closed after its provider is gone.

    @staticmethod
    def close_client(client: Any) -> None:
        """Close a client for threads."""
        client.close()

    @staticmethod
    async def aclose_client(client: Any) -> None:
        """Close a client for one event loop."""
        await (client.aclose() if hasattr(client, "aclose") else client.close())

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; see ``Adapter.open_call``."""
        client = self._clients.for_threads()
        reply: RawReply = client.open(wire, limits) if self.is_direct else self.call_sdk(client, wire, limits)
        return reply

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async; see ``Adapter.aopen_call``."""
        client = await self._clients.for_loop()
        sent = client.open(wire, limits) if self.is_direct else self.acall_sdk(client, wire, limits)
        reply: RawReply = await sent
        return reply

    def call_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for threads."""
        return _generic_call(client, wire, limits)

    def acall_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for one event loop; to be awaited."""
        return _generic_call(client, wire, limits)

    async def aget_ready(self) -> None:
        """Make the client of the running loop."""
        await self._clients.for_loop()

    def close(self) -> None:
        """Close the connections of sync callers."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        await self._clients.aclose()

    def failure_in(self, body: JSON, headers: Mapping[str, str]) -> ProviderError:
        """The error for a failure that came where a reply or an event should, with status 200."""
        error = error_of_failure(self.parse_failure(body, None, headers))
        error.request_id = self.request_id_of(headers)
        return error

    def package(self, name: str) -> Any:
        """Import a package that the adapter's extra installs."""
        try:
            return import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"Provider {self.name!r} needs the package {name}, which cannot be imported ({error}). "
                f'Run: pip install "llm-orchestrator[{self.extra}]".'
            ) from error

    def missing_key(self, variable: str) -> ConfigurationError:
        """The error for an entry that needs a key and has none."""
        return ConfigurationError(
            f"Provider {self.name!r} has no api_key. Add `api_key: ${{{variable}}}` to its entry, and set "
            "the variable."
        )


def _generic_call(client: Any, wire: WireRequest, limits: Limits) -> Any:
    """The generic call that the SDKs of OpenAI and Anthropic share; async clients return an awaitable.

    ``stream`` leaves the body of the HTTP response unread.
    """
    library = sys.modules[type(client.base_url).__module__.partition(".")[0]]  # httpx or httpx2
    seconds = limits.head()
    arguments: Dict[str, Any] = {
        "cast_to": library.Response,
        "stream": True,
        "options": {
            "headers": wire.headers,
            "timeout": library.Timeout(seconds, connect=min(limits.connect, seconds)),
            "max_retries": 0,
            "follow_redirects": False,  # a redirect would carry the key elsewhere
        },
    }
    if wire.body is None:
        return client.get(wire.path, **arguments)
    return client.post(wire.path, body=wire.body, **arguments)
