"""A llama.cpp server inside this process, which speaks HTTP on the loopback interface.

The package ``xllamacpp`` (MIT, no dependencies, Python 3.10 and later) starts it from a GGUF file.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Optional

from llm_orchestrator.exceptions import ConfigurationError

__all__ = ["PARALLEL_REQUESTS", "LocalServer"]

CONTEXT_TOKENS = 8192
PARALLEL_REQUESTS = 4
START_SECONDS = 60.0


class LocalServer:
    """A running server; it stops when it is closed."""

    def __init__(self, model_path: str, *, embeds: bool = False) -> None:
        path = Path(model_path).expanduser().absolute()
        if not path.is_file():
            raise ConfigurationError(
                f"The model file {str(path)!r} does not exist. Set model_path to a GGUF file; a relative "
                "path begins in the current folder."
            )
        self.model = path.stem
        self._server: Optional[Any] = _start(path, embeds=embeds)
        _wait_until_it_answers(self._server.listening_address)
        if embeds and not _has_pooling(self._server.listening_address):
            self._server = None  # before the next one starts: each holds the model
            self._server = _start(path, embeds=True, takes_mean=True)
            _wait_until_it_answers(self._server.listening_address)
        self.base_url = f"{self._server.listening_address}/v1"

    def close(self) -> None:
        """Stop the server and free the model's memory."""
        self._server = None  # the server stops with its last reference


def _wait_until_it_answers(address: str) -> None:
    """Send one request through the server's queue: closed before that, xllamacpp 2026.10 never stops."""
    from urllib.request import ProxyHandler, build_opener

    # Without the environment's proxies: the server is on this machine.
    with build_opener(ProxyHandler({})).open(f"{address}/slots", timeout=START_SECONDS) as reply:
        reply.read()


def _has_pooling(address: str) -> bool:
    """Whether the model says how one vector is made of those of its tokens; models for answers do not."""
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, Request, build_opener

    question = Request(f"{address}/v1/embeddings", b'{"input": "a"}', {"content-type": "application/json"})
    try:
        with build_opener(ProxyHandler({})).open(question, timeout=START_SECONDS) as reply:
            reply.read()
    except HTTPError as error:
        return b"ooling type 'none'" not in error.read()
    return True


def _start(path: Path, *, embeds: bool, takes_mean: bool = False) -> Any:
    try:
        from xllamacpp import CommonParams, Server, llama_pooling_type
    except ImportError as error:
        if sys.version_info < (3, 10):
            raise ConfigurationError(
                "The local provider needs Python 3.10 or later. Use a newer Python, or another provider."
            ) from error
        raise ConfigurationError(
            'The local provider is not installed. Run: pip install "llm-orchestrator[local]".'
        ) from error
    settings = CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {path.stem}
    settings.n_ctx = CONTEXT_TOKENS
    settings.n_parallel = PARALLEL_REQUESTS
    settings.port = 0
    settings.verbosity = 0
    settings.embedding = embeds
    if embeds:  # a text that gets a vector is read at once
        settings.n_batch = settings.n_ubatch = CONTEXT_TOKENS // PARALLEL_REQUESTS
    if takes_mean:
        settings.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # One thread a request: on a busy machine many threads that wait for each other are several times slower.
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    try:
        return Server(settings)
    except RuntimeError as error:
        reason = str(error).rstrip(".")
        raise ConfigurationError(
            f"The model file {str(path)!r} cannot be loaded: {reason}. Check that it is a complete GGUF file."
        ) from error
