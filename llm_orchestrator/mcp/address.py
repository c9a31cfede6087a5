"""Where an MCP server is: a program that is started, or a URL; and the SDK's transport to it."""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Dict, Mapping, Optional, Protocol, Sequence, Union
from urllib.parse import urlsplit

from llm_orchestrator.exceptions import ConfigurationError
from llm_orchestrator.providers.http.redaction import Redactor, secret_headers
from llm_orchestrator.utils.hidden import hidden

__all__ = ["Address", "address_of"]


class Address(Protocol):
    """Where a server is."""

    #: What errors call it, without what may be secret.
    shown: str
    #: Knows what may be secret.
    redactor: Redactor

    def transport(self) -> Any:
        """A context manager of the SDK that connects to it, async."""


def address_of(
    server: Union[str, Sequence[str]],
    *,
    env: Optional[Mapping[str, str]],
    cwd: Union[str, os.PathLike[str], None],
    headers: Optional[Mapping[str, str]],
) -> Address:
    """Read what an application says of a server."""
    if not isinstance(server, str):
        if headers:
            raise ConfigurationError("A program takes no headers. Pass env, or the server's URL.")
        return _Program(server, env, cwd)
    if not server.startswith(("http://", "https://")):
        raise ConfigurationError(
            f"{server!r} is not the URL of an MCP server. Pass an http or https URL, or a program as a list: "
            f"{server.split()!r}."
        )
    if env or cwd is not None:
        raise ConfigurationError("A URL takes no env and no cwd. Pass headers, or the program as a list.")
    return _Url(server, headers)


class _Program:
    def __init__(
        self,
        command: Sequence[str],
        env: Optional[Mapping[str, str]],
        cwd: Union[str, os.PathLike[str], None],
    ) -> None:
        if not command or not all(isinstance(word, str) for word in command):
            raise ConfigurationError(
                "The program of an MCP server is not a list of texts. Pass one, such as "
                '["uvx", "mcp-server-time"].'
            )
        self._command, self._cwd = list(command), cwd
        self._env: Dict[str, str] = hidden(env or {})
        self.shown = " ".join([*map(os.path.basename, command[:1]), *(["..."] if command[1:] else [])])
        self.redactor = Redactor(secret_headers(self._env))

    def transport(self) -> Any:
        from mcp import StdioServerParameters, stdio_client

        program, *arguments = self._command
        parameters = StdioServerParameters(
            command=program, args=arguments, env=self._env, cwd=None if self._cwd is None else str(self._cwd)
        )
        # Not ``sys.stderr``, which in notebooks and tests is no file that a program could write to.
        return stdio_client(parameters, errlog=sys.__stderr__ or _nowhere())


def _nowhere() -> Any:
    return open(
        os.devnull, "w", encoding="utf-8"
    )  # closed with the last reference: a program without a terminal


class _Url:
    def __init__(self, url: str, headers: Optional[Mapping[str, str]]) -> None:
        address = urlsplit(url)
        self._url = url
        self._headers: Dict[str, str] = hidden(headers or {})
        self.shown = f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
        self.redactor = Redactor([*secret_headers(self._headers), address.password, address.query])

    @asynccontextmanager
    async def transport(self) -> AsyncIterator[Any]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        # A stream of events may be silent for long; each call has a limit of its own.
        async with (
            httpx2.AsyncClient(headers=self._headers, timeout=httpx2.Timeout(30, read=None)) as http_client,
            streamable_http_client(self._url, http_client=http_client) as streams,
        ):
            yield streams
