"""Base URLs: what is wrong with one, the server it names, and paths that go in front of its query."""

from __future__ import annotations

import re
from typing import Iterable, NamedTuple, Optional, Tuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

__all__ = ["Server", "fault_of_url", "host_in", "server_of", "split_query", "with_path"]

_EXAMPLE = "such as http://localhost:11434/v1"
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
#: What a URL cannot hold unless it is written as %20 and the like.
_FOREIGN = re.compile(r"[\x00-\x20\x7f\\<>\"{}|^`]")
#: Paths that the library adds itself, whichever protocol the entry speaks.
_ENDPOINT = re.compile(
    r"/((chat/)?completions|embeddings|responses|v1/messages|models/[^/]+:(stream)?generatecontent)/?$",
    re.IGNORECASE,
)
#: Parameters that carry a key at hosts of Azure (its functions, shared access signatures) and whose names
#: are too short to be looked for inside others.
_SECRET_NAMES = frozenset({"code", "sig"})


def split_query(url: str) -> Tuple[str, str]:
    """A URL without its query, and the query."""
    address, _, query = url.partition("?")
    return address, query


def with_path(url: str, path: str) -> str:
    """A URL with a path behind its own, in front of its query."""
    address, query = split_query(url)
    address = f"{address.rstrip('/')}/{path.lstrip('/')}"
    return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def host_in(url: Optional[str]) -> str:
    """The host of a URL with its port, whatever the URL holds."""
    return (url or "").partition("://")[2].partition("/")[0].partition("?")[0]


def fault_of_url(url: str, secret_words: Iterable[str]) -> Optional[str]:
    """What is wrong with a base URL, and what to do; it shows nothing that may be a credential."""
    address, query = split_query(url)
    scheme, _, rest = url.partition("://")
    secret = _credential_in(query, tuple(secret_words))
    endpoint = _ENDPOINT.search(address)
    faults = (
        (
            scheme.lower() not in {"http", "https"} or not rest,
            f"is not a URL. Write it in full, {_EXAMPLE}.",
        ),
        (
            _FOREIGN.search(url),
            f"holds blanks or other characters that no URL has. Write it in full, {_EXAMPLE}.",
        ),
        (
            "@" in host_in(url),
            "contains a user name or password. Put credentials into `api_key` or `headers`.",
        ),
        ("#" in url, "has a part behind a #, which is never sent. Remove it."),
        (secret, f"has the credential {secret!r} in its query. Put it into `api_key` or `headers`."),
        (
            endpoint,
            f"ends with {endpoint and endpoint[0]}, which the library adds itself. Leave that out.",
        ),
        (not _names_a_server(url), "names no possible host and port. Correct them."),
    )
    return next((text for is_so, text in faults if is_so), None)


def _credential_in(query: str, secret_words: Tuple[str, ...]) -> Optional[str]:
    names = (name for name, _ in parse_qsl(query, keep_blank_values=True))
    return next(
        (
            name
            for name in names
            if name.lower() in _SECRET_NAMES or any(word in name.lower() for word in secret_words)
        ),
        None,
    )


def _names_a_server(url: str) -> bool:
    try:
        return server_of(url).port != 0
    except ValueError:
        return False


class Server(NamedTuple):
    """The server that a URL names: its host in ASCII; the port is None where the URL has none."""

    scheme: str
    host: str
    port: Optional[int]


def server_of(url: str) -> Server:
    """The server of a URL; raises ValueError for an impossible host or port."""
    split = urlsplit(url)
    return Server(split.scheme, _ascii_host(split), split.port)


def _ascii_host(split: SplitResult) -> str:
    host = split.hostname or ""
    if ":" in host or "[" in split.netloc.rpartition("@")[2]:  # older Pythons accept anything in brackets
        from ipaddress import IPv6Address

        IPv6Address(host.partition("%")[0])
        return host
    host = (host if host.isascii() else host.encode("idna").decode("ascii")).lower()
    if not _HOST_NAME.fullmatch(host) or len(host) > 253:
        raise ValueError("not a host name")
    return host
