"""Keys that are not one text in the configuration: made by a function, read from a file, or several in turn.

Each value of a key has an adapter of its own, which sends the requests; the entry's adapter does all else. A
value is asked for at first use, and once more when the provider refuses it.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from functools import partial
from typing import (
    TYPE_CHECKING,
    Any,
    Awaitable,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Protocol,
    Sequence,
    Union,
)

from llm_orchestrator.exceptions import (
    AuthenticationError,
    ConfigurationError,
    OrchestratorError,
    ProviderError,
    RateLimitError,
)
from llm_orchestrator.providers.http.headers import is_header_text
from llm_orchestrator.providers.wire import Limits, RawReply, WireRequest
from llm_orchestrator.utils.clock import monotonic
from llm_orchestrator.utils.files import read_regular
from llm_orchestrator.utils.threads import in_thread, within

if TYPE_CHECKING:
    import asyncio

__all__ = ["KeyFile", "KeySource", "KeyedRequests"]

#: What gives a key: its text, a function, or a file.
KeySource = Union[str, Callable[[], Union[str, Awaitable[str]]], "KeyFile"]
#: Seconds for which a key rests that is limited, where the provider does not say for how long.
USUAL_REST = 10.0
#: Most bytes of a file with a key: more is another file.
MOST_BYTES = 65536


class KeyFile(NamedTuple):
    """A file that holds a key and nothing else."""

    path: str

    def read(self) -> str:
        """Read the key."""
        try:
            return read_regular(self.path, MOST_BYTES).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"The api_key_file {self.path} cannot be read ({type(error).__name__}). Check its path and "
                "permissions."
            ) from error


class Sends(Protocol):
    """What is needed of the adapter of one key."""

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request."""

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async."""

    async def aget_ready(self) -> None:
        """Make what calls on the running loop need."""

    def close(self) -> None:
        """Close the connections of sync callers."""

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""


class _Key:
    """One key of an entry: where it comes from, its value, and since when it may not be used."""

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self.value: Optional[str] = source if isinstance(source, str) else None
        self.is_renewed = False
        self.rests_until = 0.0
        self.lock = threading.Lock()
        self.locks: weakref.WeakKeyDictionary[Any, asyncio.Lock] = weakref.WeakKeyDictionary()

    def renew(self, refused: str) -> bool:
        """Forget a value that was refused; returns whether another try makes sense."""
        if isinstance(self.source, str):
            return False
        if self.value not in (None, refused):
            return True  # another call has asked for it again meanwhile
        may_go_on, self.is_renewed = not self.is_renewed, not self.is_renewed
        self.value = None  # the next call asks again, whatever becomes of this one
        return may_go_on


class KeyedRequests:
    """Sends the requests of an entry, each with the key whose turn it is.

    Args:
        name: Name of the entry.
        sources: What gives each key.
        make: Makes the adapter of one key.
        learn: Is told each key, to keep it out of texts.
    """

    def __init__(
        self,
        name: str,
        sources: Sequence[KeySource],
        make: Callable[[str], Sends],
        learn: Callable[[Sequence[str]], None],
    ) -> None:
        self._name = name
        self._keys = [_Key(source) for source in sources]
        self._make = make
        self._learn = learn
        self._turn = 0
        self._lock = threading.Lock()
        self._adapters: Dict[str, Sends] = {}
        learn([source for source in sources if isinstance(source, str)])

    # ---------------------------------------------------------------- requests

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; an error is marked with the key it was sent with."""
        key = self._next()
        value = key.value or self._asked(key, limits)
        try:
            reply = self._adapter_of(value).open_call(wire, limits)
        except Exception as error:  # whatever it is, it goes on to who translates it
            _mark(error, key, value)
            raise
        key.is_renewed = False
        return reply

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async; see ``open_call``."""
        key = self._next()
        value = key.value or await self._aasked(key, limits)
        try:
            adapter = self._adapter_of(value)
            await adapter.aget_ready()
            reply = await adapter.aopen_call(wire, limits)
        except Exception as error:  # as in open_call
            _mark(error, key, value)
            raise
        key.is_renewed = False
        return reply

    def has_another(self, raised: BaseException, error: ProviderError) -> bool:
        """Whether a request may be sent again at once, with another key or the same one asked for anew."""
        sent_with = getattr(raised, _MARK, None)
        if sent_with is None:
            return False
        key, value = sent_with
        if isinstance(error, AuthenticationError):
            may_go_on = key.renew(value)
            if key.value != value:
                with self._lock:
                    self._adapters.pop(value, None)  # its clients are closed once no reply needs them
            if may_go_on:
                return True
            rest = float("inf") if isinstance(key.source, str) else USUAL_REST
        elif isinstance(error, RateLimitError):
            rest = USUAL_REST if error.retry_after is None else error.retry_after
        else:
            return False
        if len(self._keys) == 1:
            return False
        with self._lock:
            key.rests_until = monotonic() + rest
            free = min(other.rests_until for other in self._keys) - monotonic()
        if free > 0 and isinstance(error, RateLimitError):
            error.retry_after = min(free, rest)  # until the first of them is free
        return free <= 0

    def close(self) -> None:
        """Close the connections of sync callers."""
        for adapter in list(self._adapters.values()):
            adapter.close()

    async def aclose(self) -> None:
        """Close the connections of the running loop, and those of sync callers."""
        for adapter in list(self._adapters.values()):
            await adapter.aclose()

    # ---------------------------------------------------------------- keys

    def _next(self) -> _Key:
        """The key whose turn it is among those that do not rest; when all do, the first that will not."""
        with self._lock:
            now = monotonic()
            order: List[_Key] = self._keys[self._turn :] + self._keys[: self._turn]
            key = next((key for key in order if key.rests_until <= now), None)
            key = key or min(order, key=lambda each: each.rests_until)
            self._turn = (self._keys.index(key) + 1) % len(self._keys)
            return key

    def _adapter_of(self, value: str) -> Sends:
        with self._lock:
            adapter = self._adapters.get(value)
            if adapter is None:
                self._learn([value])
                adapter = self._adapters[value] = self._make(value)
            return adapter

    def _asked(self, key: _Key, limits: Limits) -> str:
        """Ask for a key, once for all threads that wait for it."""
        with key.lock:
            if key.value is None:
                given = self._given(partial(within, partial(_ask, key.source), limits.head()), limits)
                if inspect.isawaitable(given):
                    given = self._given(partial(_run, given, limits.head()), limits)
                key.value = self._checked(given)
            return key.value

    async def _aasked(self, key: _Key, limits: Limits) -> str:
        """Ask for a key, once for all tasks of a loop that wait for it."""
        import asyncio

        lock = key.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            if key.value is None:
                key.value = self._checked(await self._agiven(key.source, limits))
            return key.value

    def _given(self, ask: Callable[[], Any], limits: Limits) -> Any:
        try:
            return ask()
        except Exception as error:  # the application's function may raise anything
            raise self._not_given(error, limits) from error

    async def _agiven(self, source: KeySource, limits: Limits) -> Any:
        import asyncio

        seconds = limits.head()
        try:
            if inspect.iscoroutinefunction(source):
                return await asyncio.wait_for(source(), seconds)
            given = await in_thread(partial(within, partial(_ask, source), seconds))
            return await asyncio.wait_for(given, seconds) if inspect.isawaitable(given) else given
        except Exception as error:  # as in _given
            raise self._not_given(error, limits) from error

    def _not_given(self, error: Exception, limits: Limits) -> Exception:

        if isinstance(error, ConfigurationError):
            return error
        what = f"raised {type(error).__name__}"
        if (
            isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError"
        ):  # asyncio's on Python 3.9
            what = "did not return in the time that a request has"
        refusal = AuthenticationError(
            f"The function that gives the api_key of provider {self._name!r} {what}. Correct it, or the "
            "service that it asks"
        )
        refusal.sent = False
        return refusal

    def _checked(self, given: Any) -> str:
        text = given.strip() if isinstance(given, str) else ""
        if text and " " not in text and is_header_text(text):
            return text
        problem = "what no HTTP header can carry" if text else "no text"
        refusal = AuthenticationError(
            f"What gives the api_key of provider {self._name!r} gave {problem}. Have it give the key alone"
        )
        refusal.sent = False
        raise refusal


_MARK = "_sent_with_key"


def _mark(error: Exception, key: _Key, value: str) -> None:
    if isinstance(error, OrchestratorError):
        return  # no reply came, so that no key was refused
    try:
        setattr(error, _MARK, (key, _Secret(value)))
    except AttributeError:  # an exception without room for it: the key is not known, and not tried again
        return


class _Secret(str):
    """A key whose repr shows nothing."""

    def __repr__(self) -> str:
        return "'**********'"


def _ask(source: KeySource) -> Any:
    if isinstance(source, KeyFile):
        return source.read()
    return source() if callable(source) else source


def _run(given: Awaitable[Any], seconds: float) -> Any:
    """Await what an async function gave, on a loop for it alone."""
    import asyncio

    async def main() -> Any:
        return await asyncio.wait_for(given, seconds)

    waiting = main()
    try:
        return asyncio.run(waiting)
    except RuntimeError as error:
        if "running event loop" not in str(error):
            raise
        waiting.close()
        if inspect.iscoroutine(given):
            given.close()
        raise ConfigurationError(
            "The api_key is an async function, which a sync call cannot await where an event loop runs. Use "
            "the async call, or give a function that is not async."
        ) from error
