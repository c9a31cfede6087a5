"""The turns of a conversation: ``Message``, and ``ToolCall``, what a model asks the application to do.

Both are frozen values that know no provider. Here, too, they become what goes back to the model (a tool's
result) and what is stored (a dict for JSON).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Optional, Sequence, Tuple, Type, TypeVar, Union

from llm_orchestrator.exceptions import InvalidRequestError, OutputParseError
from llm_orchestrator.utils.json import JSON

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

__all__ = ["JSON", "Message", "MessageLike", "Messages", "ToolCall"]


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
        from llm_orchestrator.messages import read_saved  # which reads into the values of this module

        return read_saved([document])[0]


MessageLike = Union[Message, JSON]
Messages = Union[str, Sequence[MessageLike]]
