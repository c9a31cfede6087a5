"""Where requests go: the server of a base URL, and the proxy on the way there, if there is one.

A proxy comes from the entry's ``http.proxy``, else from the environment, whose NO_PROXY names what is reached
without it: hosts, suffixes, addresses and networks.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from typing import List, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, unquote, urlsplit

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.http.core.settings import HttpSettings, TLSSettings, tls_settings
from llm_orchestrator.utils.lazy import LazyPattern
from llm_orchestrator.utils.urls import server_of
from llm_orchestrator.utils.values import Value

__all__ = ["Origin", "Proxy", "Target", "check_proxy", "is_excluded", "proxy_url"]

DEFAULT_PORTS = {"http": 80, "https": 443}
_ENTRY = LazyPattern(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:]*))(?::(?P<port>\d+))?")


@dataclass(frozen=True, eq=False, repr=False)
class Proxy(Value):
    """An HTTP proxy.

    Attributes:
        host: Its host.
        port: Its port.
        authorization: The header line with its credentials; empty without.
    """

    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, eq=False, repr=False)
class Origin(Value):
    """A server that requests are sent to.

    Attributes:
        is_tls: Whether it is spoken to with TLS.
        host: Host name in ASCII, or address without brackets.
        port: Port.
        proxy: The proxy on the way; None without.
    """

    is_tls: bool
    host: str
    port: int
    proxy: Optional[Proxy] = None

    @classmethod
    def of(cls, url: str, settings: HttpSettings) -> Origin:
        """Find the server of a URL and the proxy on the way to it.

        Args:
            url: The base URL; its path and query do not matter here.
            settings: The entry's settings.

        Returns:
            The origin.

        Raises:
            ConfigurationError: The URL names no possible host, or the proxy cannot be used.
        """
        scheme, host, port = _parts(url, "base_url")
        if scheme not in DEFAULT_PORTS:
            raise ConfigurationError("base_url must begin with https:// or http://. Correct it.")
        chosen, name = _choose_proxy(scheme, host, port, settings)
        return cls(scheme == "https", host, port, _proxy_of(chosen, name) if chosen else None)

    @property
    def address(self) -> Tuple[str, int]:
        """Host and port to connect to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def proxy_name(self) -> Optional[str]:
        """Host and port of the proxy, as an error names it; None without a proxy."""
        return f"{_bracketed(self.proxy.host)}:{self.proxy.port}" if self.proxy else None

    @cached_property
    def authority(self) -> str:
        """Host and port as a request names them."""
        port = "" if self.port == DEFAULT_PORTS["https" if self.is_tls else "http"] else f":{self.port}"
        return _bracketed(self.host) + port

    @property
    def tunnel_request(self) -> bytes:
        """What asks the proxy for a tunnel; empty where none is needed."""
        if self.proxy is None or not self.is_tls:
            return b""
        target = f"{_bracketed(self.host)}:{self.port}"
        head = f"CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n".encode("ascii")
        return head + self.proxy.authorization + b"\r\n"


class Target(NamedTuple):
    """All that connections of one client have in common: where they lead, and how they are made and kept."""

    origin: Origin
    settings: HttpSettings
    tls: Optional[TLSSettings]

    @classmethod
    def of(cls, origin: Origin, settings: HttpSettings) -> Target:
        """Read the certificates where there is TLS, so that a file which cannot be used shows here.

        Args:
            origin: The server.
            settings: The entry's settings.

        Returns:
            The target.

        Raises:
            ConfigurationError: A certificate file cannot be used.
        """
        named = settings.ca_bundle or settings.client_cert or settings.client_key
        tls = (
            tls_settings(settings) if origin.is_tls or named else None
        )  # a wrong name shows with http:// too
        return cls(origin, settings, tls if origin.is_tls else None)


def proxy_url(url: str, settings: HttpSettings) -> Optional[str]:
    """The proxy for a URL, unchecked: for who must know whether it is a socks proxy.

    Args:
        url: The base URL.
        settings: The entry's settings.

    Returns:
        The proxy's URL, which may hold a password; None for no proxy.

    Raises:
        ConfigurationError: The URL names no possible host.
    """
    return _choose_proxy(*_parts(url, "base_url"), settings)[0] or None


def check_proxy(url: str) -> None:
    """Look at the setting ``http.proxy`` of an entry.

    Args:
        url: The proxy's URL; empty for none.

    Raises:
        ConfigurationError: No connection can go through it.
    """
    if url:
        _proxy_of(url, "http.proxy")


def _parts(url: str, name: str) -> Tuple[str, str, int]:
    """Scheme, host in ASCII and port of a URL; the URL is not shown, for it may hold a password."""
    try:
        scheme, host, port = server_of(url)
    except ValueError as error:  # UnicodeError is one
        raise _impossible(name) from error
    if port == 0:
        raise ConfigurationError(f"{name} names port 0, which nobody listens on. Correct it.")
    return scheme, host, port or DEFAULT_PORTS.get(scheme, 80)


def _impossible(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is not a possible address. Correct its host and port.")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _choose_proxy(scheme: str, host: str, port: int, settings: HttpSettings) -> Tuple[str, str]:
    """The URL of the proxy and where it was found; an empty URL for none."""
    if settings.proxy is not None:
        return settings.proxy, "http.proxy"
    chosen, name = _environment_proxy(scheme)
    excluded = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if not chosen or is_excluded(host, port, excluded):
        return "", ""
    return chosen, name


def _environment_proxy(scheme: str) -> Tuple[str, str]:
    names = [f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if "REQUEST_METHOD" in os.environ:
        names.remove(names[1])  # in a CGI script, HTTP_PROXY is what a client sent in its header Proxy
    for name in names:
        if os.environ.get(name):
            return os.environ[name], name
    if sys.platform in {"darwin", "win32"}:
        from urllib.request import getproxies

        return getproxies().get(scheme) or "", "the system's settings"
    return "", ""


def is_excluded(host: str, port: int, excluded: str) -> bool:
    """Whether a host is to be reached without a proxy.

    Args:
        host: Host name or address.
        port: Port.
        excluded: The value of NO_PROXY: hosts, suffixes, addresses and networks between commas, or ``*``.

    Returns:
        Whether one of them fits.
    """
    return any(
        _fits(host.rstrip("."), port, entry) for entry in re.split(r"[,\s]+", excluded.lower()) if entry
    )


def _fits(host: str, port: int, entry: str) -> bool:
    if entry == "*" or _is_in_network(host, entry):
        return True
    parts = _ENTRY.fullmatch(entry)
    if parts is None or (parts["port"] and int(parts["port"]) != port):
        return False
    name = (parts["v6"] or parts["name"] or "").lstrip("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}") or _is_in_network(host, name))


def _is_in_network(host: str, entry: str) -> bool:
    from ipaddress import ip_address, ip_network

    try:
        return ip_address(host.partition("%")[0]) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return False


def _proxy_of(url: str, name: str) -> Proxy:
    try:
        split = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise _impossible(name) from error
    if split.scheme.startswith("socks"):
        raise ConfigurationError(
            f"{name} names a socks proxy, which only the vendors' SDKs can use. "
            "Name it in the environment (ALL_PROXY) and use transport: sdk, or name an HTTP proxy."
        )
    if split.scheme != "http":
        raise ConfigurationError(f"{name} must begin with http://, the one kind of proxy known. Correct it.")
    _, host, port = _parts(split.geturl(), name)
    return Proxy(host, port, _authorization(split))


def _authorization(split: SplitResult) -> bytes:
    if split.username is None:
        return b""
    from base64 import b64encode

    credentials: List[str] = [unquote(split.username), unquote(split.password or "")]
    return b"proxy-authorization: Basic " + b64encode(":".join(credentials).encode("utf-8")) + b"\r\n"
