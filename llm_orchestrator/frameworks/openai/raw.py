"""``with_raw_response`` as the SDK has it: an answer together with what is known of its reply."""

from __future__ import annotations

import inspect
from typing import Any, Callable, Dict, Optional

__all__ = ["RawReplies", "RawReply"]


class RawReply:
    """The reply to one request.

    Args:
        made: What the method returned.

    Attributes:
        status_code: 200, for every other status was raised.
    """

    status_code = 200

    def __init__(self, made: Any) -> None:
        self._made = made

    def parse(self) -> Any:
        """Return the answer, or the stream.

        Returns:
            What the method returns without ``with_raw_response``.
        """
        return self._made

    @property
    def headers(self) -> Dict[str, str]:
        """Those about rate limits, tracing and time, names in lower case; none of a stream."""
        return dict(getattr(getattr(self._made, "llm_response", None), "headers", {}))

    @property
    def request_id(self) -> Optional[str]:
        """The provider's id of the request; None where it is not known."""
        found: Optional[str] = getattr(self._made, "_request_id", None)
        return found


class RawReplies:
    """The methods of a part of the client, each of which returns a ``RawReply``.

    Args:
        part: The part of the client.
    """

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._part, name)

        def ask(**arguments: Any) -> Any:
            made = method(**arguments)
            return _awaited(made) if inspect.isawaitable(made) else RawReply(made)

        return ask


async def _awaited(made: Any) -> RawReply:
    return RawReply(await made)
