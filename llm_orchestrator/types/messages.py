"""The turns of a conversation: ``Message``, and ``ToolCall``, what a model asks the application to do.

Both are frozen values that know no provider. Here, too, they become what goes back to the model (a tool's
result) and what is stored (a dict for JSON).
"""

from __future__ import annotations

import json
from collections import abc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple, Type, TypeVar, Union

from llm_orchestrator.utils.json import JSON
from llm_orchestrator.utils.values import evolve

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

__all__ = [
    "Message",
    "MessageLike",
    "Messages",
    "ToolCall",
    "arguments_text",
    "parse_arguments",
    "parts_of",
    "read_message",
    "read_saved",
    "tool_call",
]

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
KEYS = ("role", "content", "name", "tool_calls", "tool_call_id")
#: What a saved turn has beside them; dicts in a call's messages have no owner.
OWNER_KEYS = ("provider", "provider_state")


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool that the model asks the application to make.

    Attributes:
        id: The call's id, to be named in the tool's result; made up where the provider gives none.
        name: Name of the tool.
        arguments: The arguments as a dict; None when the model wrote something that is not a JSON object.
        raw_arguments: The arguments as the model wrote them.
    """

    id: str
    name: str
    arguments: Optional[Dict[str, Any]] = None
    raw_arguments: str = ""

    def parse(self, model: Type[Model]) -> Model:
        """Read the arguments as an instance of a pydantic class.

        Args:
            model: The class.

        Returns:
            The instance.

        Raises:
            OutputParseError: The arguments are no JSON object, or do not fit the class. The text says where,
                so that the model can mend it: ``call.result(str(error))``. Its ``response`` is None.
        """
        from pydantic import ValidationError

        from llm_orchestrator.exceptions import OutputParseError

        try:
            return model.model_validate_json(self._arguments_text())
        except ValidationError as error:
            faults = "; ".join(
                ": ".join([*(str(step) for step in fault["loc"]), fault["msg"]]) for fault in error.errors()
            )
            raise OutputParseError(
                f"The arguments of {self.name!r} are no valid {model.__name__}: {faults}. Call it again with "
                "arguments that fit."
            ) from error

    def result(self, value: Any) -> Message:
        """Make the message that answers the call.

        Args:
            value: What the tool returned: a text, which is sent as it is, or anything that pydantic can write
                as JSON (dicts, lists, numbers, None, models, dataclasses, dates ...).

        Returns:
            The tool turn, to be sent behind the assistant's.

        Raises:
            InvalidRequestError: The value cannot be written as JSON.
        """
        return Message(
            "tool",
            value if isinstance(value, str) else self._json(value),
            tool_call_id=self.id,
            name=self.name,
        )

    def _json(self, value: Any) -> str:
        from pydantic_core import to_json

        from llm_orchestrator.exceptions import InvalidRequestError

        try:
            return to_json(value).decode()
        except ValueError as error:  # pydantic_core's own errors are such
            raise InvalidRequestError(
                f"The result of {self.name!r} is a {type(value).__name__} that cannot be written as JSON: "
                f"{error}. Give a text, or plain data."
            ) from error

    def _arguments_text(self) -> str:
        """The arguments as JSON; a call that was made by hand may have them as a dict alone."""
        return self.raw_arguments.strip() or json.dumps(self.arguments or {})


@dataclass(frozen=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: ``system``, ``user``, ``assistant`` or ``tool``.
        content: Text, a list of parts in the OpenAI Chat form, or None for an assistant turn of tool calls
            alone.
        tool_calls: The calls an assistant turn asks for.
        tool_call_id: For a tool turn, the call it answers.
        name: For a tool turn, the tool's name where known.
        provider: The configured provider that wrote an assistant turn; such a turn never goes to another one.
        provider_state: The provider's own form of the turn (signatures, encrypted reasoning), sent back
            unchanged.
    """

    role: str
    content: Union[str, Sequence[JSON], None] = None
    tool_calls: Tuple[ToolCall, ...] = ()
    tool_call_id: Optional[str] = None
    name: Optional[str] = None
    provider: Optional[str] = None
    provider_state: Optional[JSON] = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The text of the turn, all text parts joined; empty when there is none."""
        if isinstance(self.content, str):
            return self.content
        return "".join(
            str(part.get("text") or "") for part in self.content or () if part.get("type") == "text"
        )

    def to_dict(self) -> Dict[str, Any]:
        """Write the turn as a dict for JSON, with its tool calls, its provider and the opaque state.

        Returns:
            What is set, by attribute; parts, arguments and state are the turn's own, not copies.
        """
        document: Dict[str, Any] = {"role": self.role, "content": self.content}
        document.update((name, value) for name, value in vars(self).items() if value not in (None, ()))
        if self.tool_calls:
            document["tool_calls"] = [dict(vars(call)) for call in self.tool_calls]
        return document

    @classmethod
    def from_dict(cls, document: JSON) -> Message:
        """Read a turn that ``to_dict`` wrote, or one in the OpenAI Chat form.

        Args:
            document: The dict.

        Returns:
            The turn, with its opaque state as it was.

        Raises:
            InvalidMessagesError: It is no turn.
        """
        from llm_orchestrator.types import read_saved  # which reads into the values of this module

        return read_saved([document])[0]


MessageLike = Union[Message, JSON]
Messages = Union[str, Sequence[MessageLike]]


def read_saved(documents: Sequence[JSON]) -> Tuple[Message, ...]:
    """Read turns that ``Message.to_dict`` wrote."""
    return tuple(_read_saved(document, index) for index, document in enumerate(documents))


def parts_of(message: Message, index: int) -> List[JSON]:
    """The content of a message as a list of parts in the OpenAI Chat form."""
    if message.content is None or message.content == "":
        return []
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    parts: Sequence[Any] = message.content
    for part in parts:
        if not isinstance(part, abc.Mapping) or not isinstance(part.get("type"), str):
            raise _error(
                index,
                "holds a part without a type",
                'Write {"type": "text", "text": ...} or {"type": "image_url", "image_url": {"url": ...}}.',
            )
    return list(parts)


def parse_arguments(raw: str) -> Optional[Dict[str, Any]]:
    """Read a tool call's arguments."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def tool_call(identifier: str, name: str, raw: str) -> ToolCall:
    """Make a tool call from the text of its arguments."""
    return ToolCall(identifier, name, parse_arguments(raw), raw)


def arguments_text(arguments: Any) -> str:
    """Write arguments that a provider sent as an object in the form of those sent as text."""
    return json.dumps(arguments if arguments is not None else {}, ensure_ascii=False)


def read_message(message: Any, index: int) -> Message:
    """Read one message of a call: a ``Message``, or a dict in the OpenAI Chat form."""
    if isinstance(message, Message):
        return _checked(message, index)
    if not isinstance(message, abc.Mapping):
        raise _error(index, f"is a {type(message).__name__}", 'Write {"role": "user", "content": "..."}.')
    unknown = [key for key in message if key not in KEYS and message[key] is not None]
    if unknown and message.get("role") != "assistant":
        raise _error(index, f"has an unknown key {unknown[0]!r}", f"Known are {', '.join(KEYS)}.")
    role = ROLES.get(str(message.get("role")))
    if role is None:
        raise _error(index, f"has the role {message.get('role')!r}", "Use system, user, assistant or tool.")
    calls = message.get("tool_calls") or ()
    if not isinstance(calls, abc.Sequence):
        raise _error(index, f"has tool_calls of type {type(calls).__name__}", "Give a list of tool calls.")
    turn = Message(
        role,
        message.get("content"),
        tool_calls=tuple(_read_call(call, index) for call in calls),
        tool_call_id=message.get("tool_call_id"),
        name=message.get("name"),
    )
    return _checked(turn, index)


def _read_saved(document: Any, index: int) -> Message:
    if not isinstance(document, abc.Mapping):
        raise _error(index, f"is a {type(document).__name__}", "Give what Message.to_dict wrote.")
    provider, state = (document.get(key) for key in OWNER_KEYS)
    if not isinstance(provider, (str, type(None))) or not isinstance(state, (abc.Mapping, type(None))):
        raise _error(index, "has a malformed provider or provider_state", "Give what Message.to_dict wrote.")
    turn = read_message({key: value for key, value in document.items() if key not in OWNER_KEYS}, index)
    return evolve(turn, provider=provider, provider_state=state)


def _checked(turn: Message, index: int) -> Message:
    if turn.role not in ROLES.values():
        raise _error(index, f"has the role {turn.role!r}", "Use system, user, assistant or tool.")
    is_parts = isinstance(turn.content, abc.Sequence) and not isinstance(turn.content, (str, bytes))
    if not (turn.content is None or isinstance(turn.content, str) or is_parts):
        raise _error(
            index, f"has content of type {type(turn.content).__name__}", "Give a text or a list of parts."
        )
    parts_of(turn, index)  # refuses parts that are none
    if turn.content is None and turn.role != "assistant":
        raise _error(index, "has no content", "Give a text or a list of parts.")
    for name, value in (("tool_call_id", turn.tool_call_id), ("name", turn.name)):
        if not isinstance(value, (str, type(None))):
            raise _error(index, f"has a {name} of type {type(value).__name__}", "Give a text.")
    if turn.role == "tool" and not turn.tool_call_id:
        raise _error(index, "has no tool_call_id", "Name the call whose result it is.")
    if not all(isinstance(call, ToolCall) for call in turn.tool_calls or ()):
        calls = tuple(_read_call(call, index) for call in turn.tool_calls)
        return _checked(evolve(turn, tool_calls=calls), index)
    for call in turn.tool_calls or ():
        if not call.raw_arguments:  # made by hand, so that nobody has written its arguments yet
            _arguments_text(call.arguments, index)
    if turn.tool_calls and turn.role != "assistant":
        raise _error(index, "has tool calls but is no assistant turn", "Only the model calls tools.")
    return turn


def _read_call(call: Any, index: int) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    if isinstance(call, abc.Mapping) and "raw_arguments" in call:  # a ToolCall that was saved as a dict
        return _saved_call(call, index)
    function = call.get("function") if isinstance(call, abc.Mapping) else None
    if not isinstance(function, abc.Mapping) or not call.get("id") or not function.get("name"):
        raise _error(
            index,
            "has a malformed tool call",
            'Write {"id": ..., "type": "function", "function": {"name": ..., "arguments": "{...}"}}.',
        )
    arguments = function.get("arguments")
    raw = arguments if isinstance(arguments, str) else _arguments_text(arguments, index)
    return tool_call(str(call["id"]), str(function["name"]), raw)


def _arguments_text(arguments: Any, index: int) -> str:
    try:
        return arguments_text(arguments)
    except (TypeError, ValueError, RecursionError) as error:
        raise _error(
            index, f"has a tool call whose arguments are no JSON ({error})", "Give a dict."
        ) from error


def _saved_call(call: JSON, index: int) -> ToolCall:
    made = tool_call(str(call.get("id") or ""), str(call.get("name") or ""), str(call["raw_arguments"]))
    if not made.id or not made.name:
        raise _error(index, "has a saved tool call without id or name", "Give what Message.to_dict wrote.")
    arguments = call.get("arguments", made.arguments)
    return evolve(made, arguments=arguments if isinstance(arguments, dict) else None)


def _error(index: int, problem: str, remedy: str) -> Exception:
    from llm_orchestrator.exceptions import InvalidMessagesError  # which imports these values

    return InvalidMessagesError(f"messages[{index}] {problem}. {remedy}", index=index)
