"""Makes the calls that a model asks for: finds the function, checks the arguments, bounds the time.

What goes wrong is told to the model: its own mistakes always, an exception of the tool unless the application
wants to have it raised.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import abc
from concurrent.futures import Future, wait
from contextvars import copy_context
from threading import Thread
from types import TracebackType
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Protocol, Sequence, Type, Union

from llm_orchestrator.types.parameters import checked
from llm_orchestrator.types.served_tools import ServedTool, each_tool
from llm_orchestrator.types.tool_functions import Parameters, faults_of, is_async, name_of
from llm_orchestrator.utils.json import read_json
from llm_orchestrator.utils.suggestions import did_you_mean

__all__ = ["ServedWork", "Telling", "ToolRun", "Toolbox", "Work", "arun_tool", "run_tool"]

logger = logging.getLogger(__name__)

ON_ERROR = ("result", "raise")
#: Fields of a dict that describes a function in a flat form.
_SCHEMAS = frozenset({"parameters", "input_schema", "inputSchema"})


class ModelMistakeError(Exception):
    """The model called what there is not, or with what does not fit; the text tells it."""


class Telling:
    """Keeps what goes wrong in a call as the text that the model is told, or lets it through.

    Args:
        name: Name of the tool.
        on_tool_error: ``result``, or ``raise`` for what the tool raises.

    Attributes:
        said: The text; empty when all went well.
        error: The class of what went wrong; None when nothing did.
    """

    def __init__(self, name: str, on_tool_error: str) -> None:
        from llm_orchestrator.exceptions import InvalidRequestError

        if on_tool_error not in ON_ERROR:
            raise InvalidRequestError(f"on_tool_error is {on_tool_error!r}. Use 'result' or 'raise'.")
        self._name = name
        self._raises = on_tool_error == "raise"
        self.said = ""
        self.error: Optional[str] = None

    def __enter__(self) -> Telling:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> bool:
        self.error = None if kind is None else kind.__name__
        if isinstance(error, ModelMistakeError):
            self.said = str(error)
            return True
        if self._raises or not isinstance(error, Exception):
            return False
        logger.warning("The tool %s failed with %s; the model is told.", self._name, type(error).__name__)
        self.said = f"The tool {self._name!r} failed: {type(error).__name__}: {_words_of(error)}"
        return True


def _words_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an application's own class may fail to say what went wrong
        return "it does not say why"


class Work:
    """One call that is ready to be made.

    Args:
        name: Name of the tool.
        function: Makes the call.
        is_async: Whether what it returns is to be awaited.
    """

    def __init__(self, name: str, function: Callable[[], Any], *, is_async: bool) -> None:
        self._name = name
        self._function = function
        self._is_async = is_async

    def run(self, timeout: Optional[float]) -> Any:
        """Make the call in this thread; where time is bounded, in one of its own, which cannot be ended."""
        if timeout is None:
            return self._not_to_be_awaited(self._function())
        working = _in_thread(self._function)
        wait([working], timeout)
        if not working.done():
            raise self._too_late(timeout)
        return self._not_to_be_awaited(working.result()())

    async def arun(self, timeout: Optional[float]) -> Any:
        """Make the call, async: that of a plain function in a thread, for it would stop the loop."""
        value = self._function() if self._is_async else await self._in_time(self._threaded(), timeout)
        return await self._in_time(value, timeout) if inspect.isawaitable(value) else value

    async def _threaded(self) -> Any:
        return (await asyncio.wrap_future(_in_thread(self._function)))()

    async def _in_time(self, work: Any, timeout: Optional[float]) -> Any:
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=timeout)
            if task.done() and not task.cancelled():
                return task.result()
        finally:
            task.cancel()  # nothing, where it is done
        if timeout is None or task.done():  # by itself: a cancellation of the caller is raised by the wait
            raise RuntimeError("it was cancelled")
        raise self._too_late(timeout)

    def _not_to_be_awaited(self, value: Any) -> Any:
        if inspect.isawaitable(value):
            getattr(value, "close", bool)()
            raise _is_async(self._name)
        return value

    def _too_late(self, timeout: float) -> Exception:
        from llm_orchestrator.exceptions import ToolTimeoutError

        return ToolTimeoutError(
            f"The tool {self._name!r} did not end within {timeout:g} seconds. Allow more, or let it end by "
            "itself."
        )


class ServedWork:
    """One call that a server makes, which keeps the time by itself.

    Args:
        tool: The tool.
        arguments: What the model wrote.
    """

    def __init__(self, tool: ServedTool, arguments: Dict[str, Any]) -> None:
        self._tool = tool
        self._arguments = arguments

    def run(self, timeout: Optional[float]) -> Any:
        """Make the call."""
        return self._tool.call(self._arguments, timeout)

    async def arun(self, timeout: Optional[float]) -> Any:
        """Make the call, async."""
        return await self._tool.acall(self._arguments, timeout)


class AnyCall(Protocol):
    """What is used of a ``ToolCall``."""

    @property
    def name(self) -> str:
        """Name of the tool."""
        ...

    def arguments_text(self) -> str:
        """The arguments as JSON."""
        ...

    def result(self, value: Any) -> Any:
        """Make the message that answers it."""
        ...


class ToolRun(NamedTuple):
    """How a call went: the message that answers it, and the class of what went wrong."""

    message: Any
    error: Optional[str]


def run_tool(call: AnyCall, tools: Any, *, on_tool_error: str, timeout: Optional[float]) -> ToolRun:
    """Make a call."""
    toolbox = _toolbox(tools, timeout)
    toolbox.check(awaits=False, only=call.name)
    with Telling(call.name, on_tool_error) as telling:
        work = toolbox.work_of(call.name, call.arguments_text(), awaits=False)
        return ToolRun(call.result(work.run(timeout)), None)
    return ToolRun(call.result(telling.said), telling.error)


async def arun_tool(call: AnyCall, tools: Any, *, on_tool_error: str, timeout: Optional[float]) -> ToolRun:
    """Make a call, async."""
    toolbox = _toolbox(tools, timeout)
    toolbox.check(awaits=True, only=call.name)
    with Telling(call.name, on_tool_error) as telling:
        work = toolbox.work_of(call.name, call.arguments_text(), awaits=True)
        return ToolRun(call.result(await work.arun(timeout)), None)
    return ToolRun(call.result(telling.said), telling.error)


def _toolbox(tools: Any, timeout: Optional[float]) -> Toolbox:
    """The tools of one call; mistakes of the application are no matter of the model's."""
    from llm_orchestrator.exceptions import InvalidRequestError

    if timeout is not None:
        checked("timeout", timeout)
    is_list = isinstance(tools, (abc.Sequence, abc.Mapping)) and not isinstance(tools, (str, bytes))
    if not is_list and tools is not None:
        raise InvalidRequestError(
            f"tools is a {type(tools).__name__}. Pass a list of tools, or them by name."
        )
    return Toolbox(tools)


def _in_thread(function: Callable[[], Any]) -> Future[Callable[[], Any]]:
    """Begin in a thread that does not keep the program alive; the result gives the value, or raises."""
    working: Future[Callable[[], Any]] = Future()
    working.set_running_or_notify_cancel()  # or nobody could be told its result after a cancellation
    context = copy_context()

    def work() -> None:
        try:
            value = context.run(function)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it belongs to who waits
            caught = error
            working.set_result(lambda: _raise(caught))
        else:
            working.set_result(lambda: value)

    Thread(target=work, name="tool", daemon=True).start()
    return working


def _raise(error: BaseException) -> None:
    raise error


class Toolbox:
    """The tools of a call, by name.

    Args:
        tools: As a call takes them, or functions by name.
    """

    def __init__(self, tools: Union[Sequence[Any], Mapping[str, Callable[..., Any]], None]) -> None:
        self._parameters: Dict[str, Parameters] = {}
        self._tools: Dict[str, Any] = {}
        if isinstance(tools, abc.Mapping):
            self._tools.update(tools)
        else:
            self._tools.update((_name_in(tool), tool) for tool in each_tool(tools or ()))
            self._tools.pop("", None)  # the provider runs it itself

    def check(self, *, awaits: bool, only: Optional[str] = None, may_answer: bool = False) -> None:
        """Refuse tools that cannot be run: a mistake of the application, of which no model is told.

        One that may answer calls itself may have tools that are no functions.
        """
        for name in self._tools if only is None else (only,):
            tool = self._tools.get(name)
            if isinstance(tool, ServedTool):
                tool.check(awaits=awaits)
            elif name in self._tools and not (may_answer and not _is_function(tool)):
                self._function(name, awaits=awaits)

    def work_of(self, name: str, text: str, *, awaits: bool) -> Union[Work, ServedWork]:
        """Make a call ready, with its arguments as JSON."""
        if name not in self._tools:
            raise ModelMistakeError(f"There is no tool {name!r}. {did_you_mean(name, self._tools)}")
        tool = self._tools[name]
        if isinstance(tool, ServedTool):
            return ServedWork(tool, _object_in(name, text))
        return self._work_of_function(name, text, awaits=awaits)

    def _work_of_function(self, name: str, text: str, *, awaits: bool) -> Work:
        from pydantic import ValidationError

        function = self._function(name, awaits=awaits)
        if name not in self._parameters:
            self._parameters[name] = Parameters(function, {})
        try:
            by_place, by_name = self._parameters[name].read(text)
        except ValidationError as error:
            raise ModelMistakeError(
                f"The arguments of {name!r} do not fit: {faults_of(error)}. Call it again with corrected "
                "arguments."
            ) from error
        return Work(name, lambda: function(*by_place, **by_name), is_async=is_async(function))

    def _function(self, name: str, *, awaits: bool) -> Callable[..., Any]:
        from llm_orchestrator.exceptions import InvalidRequestError

        tool = self._tools[name]
        if not _is_function(tool):
            kind = "class" if isinstance(tool, type) else type(tool).__name__
            raise InvalidRequestError(
                f"The tool {name!r} is a {kind}, which cannot be run. Pass a function, or answer its calls "
                "yourself."
            )
        if not awaits and is_async(tool):
            raise _is_async(name)
        function: Callable[..., Any] = tool
        return function


def _is_function(tool: Any) -> bool:
    return callable(tool) and not isinstance(tool, (type, abc.Mapping))


def _object_in(name: str, text: str) -> Dict[str, Any]:
    """The arguments for a server, which checks them itself, so long as they are an object."""
    try:
        value = read_json(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ModelMistakeError(
            f"The arguments of {name!r} are not a JSON object. Call it again with corrected arguments."
        )
    return value


def _is_async(name: str) -> Exception:
    from llm_orchestrator.exceptions import InvalidRequestError

    return InvalidRequestError(f"The tool {name!r} is async. Run it on one of the async ways.")


def _name_in(tool: Any) -> str:
    """The name by which a model calls a tool; empty for one that its provider runs."""
    if isinstance(tool, ServedTool):
        return tool.name
    if not isinstance(tool, abc.Mapping):
        return name_of(tool) if callable(tool) else ""
    function = tool.get("function") or tool.get("toolSpec") or (tool if _SCHEMAS.intersection(tool) else None)
    name = function.get("name") if isinstance(function, abc.Mapping) else None
    return name if isinstance(name, str) else ""
