"""The messages of a conversation: ``Message`` and ``ToolCall``, and how they are read from dicts and checked.

A message comes from a call (a dict in the OpenAI Chat form, or a ``Message``) or from storage (what
``Message.to_dict`` wrote). One that no provider could accept raises InvalidMessagesError with its index.
"""

from __future__ import annotations

import json
from collections import abc
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    get_args,
)

from llm_orchestrator.utils.characters import has_halves, whole_text, with_whole_characters
from llm_orchestrator.utils.json import JSON, MAPPINGS, read_json
from llm_orchestrator.utils.values import Value, evolve, make

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
#: Tools as a call takes them, or functions by name.
Tools = Union[Sequence[Any], Mapping[str, Callable[..., Any]]]

__all__ = [
    "Message",
    "MessageLike",
    "Messages",
    "Role",
    "ToolCall",
    "arguments_text",
    "parse_arguments",
    "parts_of",
    "read_message",
    "read_saved",
    "tool_call",
]

Role = Literal["system", "user", "assistant", "tool"]
ROLES: Tuple[str, ...] = get_args(Role)
KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")
#: Further keys of a saved message; the dicts of a call may not have them.
SAVED_KEYS = ("provider", "provider_state")
SAVED = "Pass what Message.to_dict returned."


@dataclass(frozen=True, eq=False, repr=False)
class ToolCall(Value):
    """One call of a tool that the model asks the application to make.

    Attributes:
        id: The call's id, which the tool's result refers to; made up where the provider sends none.
        name: Name of the tool.
        arguments: The arguments as a dict; None when the model wrote something that is not a JSON object.
        raw_arguments: The arguments as the model wrote them.
    """

    id: str
    name: str
    arguments: Optional[Dict[str, Any]] = None
    raw_arguments: str = ""

    def parse(self, model: Type[Model]) -> Model:
        """Parse the arguments into an instance of a pydantic class.

        Args:
            model: The class.

        Returns:
            The instance.

        Raises:
            OutputParseError: The arguments are not a JSON object, or do not fit the class. The text says
                where, so that the model can correct them: ``call.result(str(error))``. Its ``response`` is
                None.
        """
        from pydantic import ValidationError

        from llm_orchestrator.exceptions import OutputParseError
        from llm_orchestrator.types.tool_functions import faults_of

        try:
            return model.model_validate_json(self.arguments_text())
        except ValidationError as error:
            raise OutputParseError(
                f"The arguments of {self.name!r} are not a valid {model.__name__}: {faults_of(error)}. Call "
                "it again with corrected arguments."
            ) from error

    def run(self, tools: Tools, *, on_tool_error: str = "result", timeout: Optional[float] = None) -> Message:
        """Make the call: check the arguments by the function's own types, call it, and write its result.

        What goes wrong becomes the result, for the model to mend: a name that is not among the tools,
        arguments that do not fit, and what the function raises.

        Args:
            tools: What the call was given as ``tools``, or functions by name. Bound methods, partials and
                objects that can be called are functions, too.
            on_tool_error: ``result``, or ``raise`` to have raised what the function raises.
            timeout: Seconds the function may take; it then runs in a thread, which goes on after that time,
                for nothing can end it. None for no limit, in this thread.

        Returns:
            The tool message, to be sent after the assistant's.

        Raises:
            InvalidRequestError: The tool is no function, or is async; or ``tools`` or ``timeout`` cannot be.
            ToolTimeoutError: Only with ``raise``: it did not end in time.
        """
        from llm_orchestrator.types.tool_runs import run_tool

        message: Message = run_tool(self, tools, on_tool_error=on_tool_error, timeout=timeout).message
        return message

    async def arun(
        self, tools: Tools, *, on_tool_error: str = "result", timeout: Optional[float] = None
    ) -> Message:
        """Make the call, async: of async functions on the loop, of plain ones in a thread. See ``run``.

        Args:
            tools: As in ``run``.
            on_tool_error: As in ``run``.
            timeout: Seconds the function may take. An async one is cancelled then.

        Returns:
            The tool message.
        """
        from llm_orchestrator.types.tool_runs import arun_tool

        ran = await arun_tool(self, tools, on_tool_error=on_tool_error, timeout=timeout)
        message: Message = ran.message
        return message

    def result(self, value: Any) -> Message:
        """Make the message that answers the call.

        Args:
            value: What the tool returned: a string, which is sent as it is (a lone half of a character is
                replaced), or anything that pydantic can write as JSON (dicts, lists, numbers, None, models,
                dataclasses, dates ...).

        Returns:
            The tool message, to be sent after the assistant's.

        Raises:
            InvalidRequestError: The value cannot be written as JSON.
        """
        content = whole_text(value) if isinstance(value, str) else self._json(value)
        return Message("tool", content, tool_call_id=self.id, name=self.name)

    def _json(self, value: Any) -> str:
        from pydantic_core import to_json

        from llm_orchestrator.exceptions import InvalidRequestError

        try:
            return to_json(value).decode()
        except ValueError as error:  # the base of pydantic_core's errors
            raise InvalidRequestError(
                f"The result of {self.name!r} is a {type(value).__name__} that cannot be written as JSON: "
                f"{error}. Pass a string or JSON values."
            ) from error

    def arguments_text(self) -> str:
        """Write the arguments as JSON; an application may have made the call, or changed its arguments.

        Returns:
            The JSON: what the model wrote, where that is still what ``arguments`` says.
        """
        raw = self.raw_arguments.strip()
        if raw and (self.arguments is None or self.arguments == parse_arguments(raw)):
            return raw
        return json.dumps(self.arguments or {})


@dataclass(frozen=True, eq=False, repr=False)
class Message(Value):
    """One message of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: A string, a list of parts in the OpenAI Chat form, or None for an assistant message that has
            only tool calls.
        tool_calls: The tool calls of an assistant message.
        tool_call_id: For a tool message, the call it answers.
        name: For a tool message, the tool's name where known.
        provider: The configured provider that wrote an assistant message, which is never sent to another one.
        provider_state: The provider's own form of the message (signatures, encrypted reasoning), sent back
            unchanged.
    """

    role: Role
    content: Union[str, Sequence[JSON], None] = None
    tool_calls: Tuple[ToolCall, ...] = ()
    tool_call_id: Optional[str] = None
    name: Optional[str] = None
    provider: Optional[str] = None
    provider_state: Optional[JSON] = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The text of the message, all text parts joined; empty when there is none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(
            str(part.get("text") or "") for part in self.content or () if part.get("type") == "text"
        )

    def to_dict(self) -> Dict[str, Any]:
        """Return the message as a dict for JSON, with its tool calls, its provider and the opaque state.

        Returns:
            What is set, by attribute; parts, arguments and state are the message's own, not copies.
        """
        document: Dict[str, Any] = {"role": self.role, "content": self.content}
        document.update((name, value) for name, value in vars(self).items() if value not in (None, ()))
        if self.tool_calls:
            document["tool_calls"] = [dict(vars(call)) for call in self.tool_calls]
        return document

    @classmethod
    def from_dict(cls, document: JSON) -> Message:
        """Make a message from a dict that ``to_dict`` returned, or one in the OpenAI Chat form.

        Args:
            document: The dict.

        Returns:
            The message, with its opaque state as it was.

        Raises:
            InvalidMessagesError: The dict is not a valid message.
        """
        return _read_saved(document, 0)


MessageLike = Union[Message, JSON]
Messages = Union[str, Sequence[MessageLike]]


def read_saved(documents: Sequence[JSON]) -> Tuple[Message, ...]:
    """Read messages that ``Message.to_dict`` wrote."""
    return tuple(_read_saved(document, index) for index, document in enumerate(documents))


def _read_saved(document: Any, index: int) -> Message:
    if not isinstance(document, abc.Mapping):
        raise _error(index, f"is a {type(document).__name__}", SAVED)
    provider, state = (document.get(key) for key in SAVED_KEYS)
    if not isinstance(provider, (str, type(None))) or not isinstance(state, (abc.Mapping, type(None))):
        raise _error(index, "has an invalid provider or provider_state", SAVED)
    message = read_message({key: value for key, value in document.items() if key not in SAVED_KEYS}, index)
    return evolve(message, provider=provider, provider_state=state)


def read_message(message: Any, index: int) -> Message:
    """Read one message of a call: a ``Message``, or a dict in the OpenAI Chat form."""
    if isinstance(message, Message):
        return _checked(message, index)
    if not isinstance(message, MAPPINGS):
        raise _error(index, f"is a {type(message).__name__}", 'Write {"role": "user", "content": "..."}.')
    unknown = [key for key in message if key not in KEYS and message[key] is not None]
    if unknown and message.get("role") != "assistant":  # providers add keys of their own to their messages
        raise _error(index, f"has an unknown key {unknown[0]!r}", f"Use {', '.join(KEYS)}.")
    role = message.get("role")
    read = make(
        Message,
        role="system" if role == "developer" else role,
        content=message.get("content"),
        tool_calls=message.get("tool_calls") or (),
        tool_call_id=message.get("tool_call_id"),
        name=message.get("name"),
    )
    return _checked(read, index)


def _checked(message: Message, index: int) -> Message:
    """The message, with its tool calls read, if a provider could be sent it."""
    if message.role not in ROLES:
        raise _error(index, f"has the role {message.role!r}", "Use system, user, assistant or tool.")
    _check_content(message, index)
    for name in ("tool_call_id", "name"):
        value = getattr(message, name)
        if not isinstance(value, (str, type(None))):
            raise _error(index, f"has a {name} of type {type(value).__name__}", "Pass a string.")
    if message.role == "tool" and not message.tool_call_id:
        raise _error(index, "has no tool_call_id", "Pass the id of the tool call that it answers.")
    calls = _read_calls(message.tool_calls, index) if message.tool_calls else ()
    if calls and message.role != "assistant":
        raise _error(index, "has tool calls but is not from the assistant", "Only the model calls tools.")
    return message if calls == message.tool_calls else evolve(message, tool_calls=calls)


def _check_content(message: Message, index: int) -> None:
    content: Any = message.content
    if isinstance(content, str):
        return
    if content is None and message.role != "assistant":
        raise _error(index, "has no content", "Pass a string or a list of parts.")
    if isinstance(content, bytes) or not isinstance(content, (abc.Sequence, type(None))):
        raise _error(
            index, f"has content of type {type(content).__name__}", "Pass a string or a list of parts."
        )
    parts_of(message, index)  # raises for an invalid part


def parts_of(message: Message, index: int) -> List[JSON]:
    """The content of a message as a list of parts in the OpenAI Chat form."""
    if not message.content:
        return []
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    parts: Sequence[Any] = message.content
    for part in parts:
        if not isinstance(part, abc.Mapping) or not isinstance(part.get("type"), str):
            raise _error(
                index,
                "has a part without a type",
                'Write {"type": "text", "text": ...} or {"type": "image_url", "image_url": {"url": ...}}.',
            )
    return list(parts)


def _read_calls(calls: Any, index: int) -> Tuple[ToolCall, ...]:
    if not isinstance(calls, abc.Sequence):
        raise _error(index, f"has tool_calls of type {type(calls).__name__}", "Pass a list of tool calls.")
    return tuple(_read_call(call, index) for call in calls)


def _read_call(call: Any, index: int) -> ToolCall:
    if isinstance(call, ToolCall):
        if not call.raw_arguments:  # made by the application; its arguments are written when it is sent
            _written(call.arguments, index)
        return call
    if isinstance(call, abc.Mapping) and "raw_arguments" in call:  # what Message.to_dict wrote
        return _saved_call(call, index)
    function = call.get("function") if isinstance(call, abc.Mapping) else None
    if not isinstance(function, abc.Mapping) or not call.get("id") or not function.get("name"):
        raise _error(
            index,
            "has a malformed tool call",
            'Write {"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}.',
        )
    arguments = function.get("arguments")
    raw = arguments if isinstance(arguments, str) else _written(arguments, index)
    return tool_call(str(call["id"]), str(function["name"]), raw)


def _saved_call(call: JSON, index: int) -> ToolCall:
    read = tool_call(str(call.get("id") or ""), str(call.get("name") or ""), str(call["raw_arguments"]))
    if not read.id or not read.name:
        raise _error(index, "has a saved tool call without id or name", SAVED)
    arguments = call.get("arguments", read.arguments)
    return evolve(read, arguments=arguments if isinstance(arguments, dict) else None)


def _written(arguments: Any, index: int) -> str:
    try:
        return arguments_text(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        problem = f"has a tool call whose arguments are not valid JSON ({error})"
        raise _error(index, problem, "Pass a dict of JSON values.") from error


def tool_call(identifier: str, name: str, raw: str) -> ToolCall:
    """Make a tool call from its arguments as a JSON string."""
    return ToolCall(identifier, name, parse_arguments(raw), raw)


def parse_arguments(raw: str) -> Optional[Dict[str, Any]]:
    """Parse a tool call's arguments; None when they are not a JSON object."""
    if not raw.strip():
        return {}
    try:
        value = read_json(raw, parse_constant=_refuse_constant)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    # An escape may stand for half a character, which no tool could write and no result could repeat.
    return with_whole_characters(value) if "\\u" in raw and has_halves(value) else value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def arguments_text(arguments: Any) -> str:
    """Write arguments that a provider sent as an object the way others send them, as a JSON string."""
    return json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)


def _error(index: int, problem: str, remedy: str) -> Exception:
    from llm_orchestrator.exceptions import InvalidMessagesError  # which imports this module

    return InvalidMessagesError(f"messages[{index}] {problem}. {remedy}", index=index)
