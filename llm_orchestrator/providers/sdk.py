"""What the vendors' adapters share: the choice of a transport, its clients, the one call, and their errors.

Where the credential is a key, requests go over connections of our own. Credentials that are computed, socks
proxies, and who asks for it, go through the vendor's SDK.
"""

from __future__ import annotations

import logging
import sys
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Mapping, Optional, Sequence
from urllib.parse import parse_qsl

from llm_orchestrator.exceptions import ConfigurationError, InvalidRequestError, ProviderError
from llm_orchestrator.providers.base import BaseLLMProvider
from llm_orchestrator.providers.failures import error_of_failure
from llm_orchestrator.providers.http.clients import Clients
from llm_orchestrator.providers.http.local_faults import make_or_explain
from llm_orchestrator.providers.wire import Endpoint, Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON
from llm_orchestrator.utils.lazy import LazyModule
from llm_orchestrator.utils.urls import split_query

if TYPE_CHECKING:
    from llm_orchestrator.providers import keys
    from llm_orchestrator.providers.direct import AsyncDirectTransport, DirectTransport
else:  # most entries have one key
    keys = LazyModule("llm_orchestrator.providers.keys")

__all__ = ["SDKProvider", "address_arguments"]

logger = logging.getLogger(__name__)

AUTO, DIRECT, SDK = "auto", "direct", "sdk"


class SDKProvider(BaseLLMProvider):
    """A provider with two transports. Derive from it and write ``endpoint``, ``make_client`` and its twin."""

    #: The extra that installs what the SDK's transport needs.
    extra: ClassVar[str] = ""

    def __init__(
        self, name: str, *, transport: str = AUTO, http: Optional[Mapping[str, Any]] = None, **settings: Any
    ) -> None:
        super().__init__(name, **settings)
        self._http = dict(http or {})
        self._transport = transport
        self._check_transport()
        self._keyed: Optional[keys.KeyedRequests] = None
        self._clients: Clients[Any, Any] = Clients(
            make=lambda: self.watched(
                make_or_explain(name, self._make_direct if self.is_direct else self.make_client)
            ),
            make_async=lambda: self.watched(
                make_or_explain(name, self._make_async_direct if self.is_direct else self.make_async_client)
            ),
            close=self.close_client,
            aclose=self.aclose_client,
            redactor=self.redactor,
        )

    def use_keys(self, sources: Sequence[keys.KeySource], make: Callable[[str], SDKProvider]) -> None:
        """Send each request with the key whose turn it is; ``make`` makes the adapter of one."""
        self._keyed = keys.KeyedRequests(self.name, sources, make, self.redactor.learn)

    def has_other_key(self, raised: BaseException, error: ProviderError) -> bool:
        """Whether another key may be tried; see ``Adapter.has_other_key``."""
        return self._keyed is not None and self._keyed.has_another(raised, error)

    @property
    def can_go_direct(self) -> bool:
        """Whether the credential is a key, or none is needed; ``endpoint`` then knows its header."""
        return True

    @cached_property
    def is_direct(self) -> bool:
        """Whether requests go without the SDK; decided when the first one is sent."""
        if self._transport != AUTO or self._http:
            return self._transport != SDK
        return self.can_go_direct and self._has_parser() and not self._has_socks_proxy()

    def _check_transport(self) -> None:
        if self._transport == DIRECT and not self.can_go_direct:
            raise ConfigurationError(
                f"Provider {self.name!r} has transport: direct, but its credential is made by the SDK. "
                "Use transport: sdk, or leave it out."
            )
        if self._http and (self._transport == SDK or not self.can_go_direct):
            raise ConfigurationError(
                f"Provider {self.name!r} has settings under http, which the vendor's SDK would ignore. "
                "Remove them: the SDK takes proxies and certificates from the environment."
            )

    def _has_parser(self) -> bool:
        if find_spec("httptools") is not None:
            return True
        logger.warning(
            "%s: the package httptools is not installed, so requests go through the vendor's SDK. "
            "Run: pip install httptools",
            self.name,
        )
        return False

    def _has_socks_proxy(self) -> bool:
        from llm_orchestrator.providers.http.core.origins import proxy_url
        from llm_orchestrator.providers.http.core.settings import HttpSettings

        proxy = proxy_url(self.endpoint().url, HttpSettings())
        return proxy is not None and proxy.startswith("socks")

    def endpoint(self) -> Endpoint:
        """Where the API is and which headers carry the credential, for the direct transport."""
        raise NotImplementedError

    def _make_direct(self) -> DirectTransport:
        self._check_parser()
        from llm_orchestrator.providers.direct import DirectTransport  # only who goes direct needs its parser
        from llm_orchestrator.providers.http.core.settings import HttpSettings

        return DirectTransport(self.endpoint(), HttpSettings(**self._http))

    def _make_async_direct(self) -> AsyncDirectTransport:
        self._check_parser()
        from llm_orchestrator.providers.direct import AsyncDirectTransport
        from llm_orchestrator.providers.http.core.settings import HttpSettings

        return AsyncDirectTransport(self.endpoint(), HttpSettings(**self._http))

    def _check_parser(self) -> None:
        if find_spec("httptools") is None:
            raise ConfigurationError(
                f"Provider {self.name!r} is to go direct, but the package httptools is not installed. "
                "Run: pip install httptools, or use transport: sdk."
            )

    def watched(self, client: Any) -> Any:
        """A client that was just made; for adapters that have to know what the SDK sends."""
        return client

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
        if self._keyed is not None:
            return self._keyed.open_call(wire, limits)
        self._check_carries(wire)
        client = self._clients.for_threads()
        reply: RawReply = client.open(wire, limits) if self.is_direct else self.call_sdk(client, wire, limits)
        return reply

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async; see ``Adapter.aopen_call``."""
        if self._keyed is not None:
            return await self._keyed.aopen_call(wire, limits)
        self._check_carries(wire)
        client = await self._clients.for_loop()
        sent = client.open(wire, limits) if self.is_direct else self.acall_sdk(client, wire, limits)
        reply: RawReply = await sent
        return reply

    def _check_carries(self, wire: WireRequest) -> None:
        """The SDKs' generic calls carry JSON and forms, below the base URL."""
        if not self.is_direct and (isinstance(wire.content, bytes) or wire.path.startswith("../")):
            refusal = InvalidRequestError(
                f"Provider {self.name!r} goes through the vendor's SDK, which cannot upload this file. "
                "Use transport: direct."
            )
            refusal.sent = False
            raise refusal

    def call_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for threads."""
        return _generic_call(client, wire, limits)

    def acall_sdk(self, client: Any, wire: WireRequest, limits: Limits) -> Any:
        """Send one request through the SDK's client for one event loop; to be awaited."""
        return _generic_call(client, wire, limits)

    async def aget_ready(self) -> None:
        """Make the client of the running loop; a key makes its own, once it is known."""
        if self._keyed is None:
            await self._clients.for_loop()

    def close(self) -> None:
        """Close the connections of sync callers."""
        self._clients.close()
        if self._keyed is not None:
            self._keyed.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        await self._clients.aclose()
        if self._keyed is not None:
            await self._keyed.aclose()

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


def address_arguments(url: str) -> Dict[str, Any]:
    """The address as the SDKs of OpenAI and Anthropic take it: they would put paths behind a query."""
    address, query = split_query(url)
    return {"base_url": address, **({"default_query": dict(parse_qsl(query))} if query else {})}


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
    if wire.content is not None:
        return _upload(client, wire, arguments)
    if wire.body is None:
        return client.get(wire.path, **arguments)
    return client.post(wire.path, body=wire.body, **arguments)


def _upload(client: Any, wire: WireRequest, arguments: Dict[str, Any]) -> Any:
    """Send a form, for which the SDK chooses a boundary of its own."""
    from llm_orchestrator.providers.forms import FORM, Form  # few programs upload

    assert isinstance(wire.content, Form), "bytes were refused"
    arguments["options"]["headers"] = {"Content-Type": FORM}
    return client.post(wire.path, files=wire.content.fields, **arguments)
