"""The command ``chat``: a conversation in the terminal, saved in a file if one is given."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Callable, Dict, Iterator, Optional

import typer

from llm_orchestrator.cli.ask import show_stream, summary
from llm_orchestrator.cli.settings import (
    ConfigOption,
    ModelOption,
    ProviderOption,
    SystemOption,
    need_model,
    open_orchestrator,
)
from llm_orchestrator.cli.terminal import clean, note
from llm_orchestrator.conversation import Conversation
from llm_orchestrator.cost_tracker import format_cost
from llm_orchestrator.exceptions import ConfigurationError, InvalidMessagesError, OrchestratorError
from llm_orchestrator.orchestrator import LLMOrchestrator
from llm_orchestrator.utils.atomic_file import atomic_file
from llm_orchestrator.utils.files import OWN_MODE, read_regular

__all__ = ["chat"]

HELP = "/undo takes back the last answer, /cost shows what was spent, Ctrl-C stops an answer, Ctrl-D ends."


def chat(
    file: Annotated[
        Optional[Path],
        typer.Argument(
            metavar="FILE",
            help="Where to save the conversation; an existing one is continued. Left out: it is not saved.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    system: SystemOption = None,
) -> None:
    """Hold a conversation; it stays with its provider, also when it is continued later.

    From a pipe, each line is a turn.
    """
    with open_orchestrator(config, provider, model) as orchestrator:
        conversation = _begin(orchestrator, file, system, model)
        if sys.stdin is None:
            raise InvalidMessagesError(
                "Standard input is closed, so no question can be read. Open it, or use `ask`."
            )
        note(f"{conversation.provider}/{conversation.model}, {len(conversation.messages)} messages. {HELP}")
        try:
            for line in _lines():
                _turn(conversation, line)
                _save(conversation, file)
        finally:
            _show_cost(conversation)


def _begin(
    orchestrator: LLMOrchestrator, file: Optional[Path], system: Optional[str], model: Optional[str]
) -> Conversation:
    if file is None or not file.exists():
        need_model(orchestrator)
        conversation = orchestrator.start_conversation(system, model=model)
        _save(conversation, file)  # fails now, not after the first answer, if the file cannot be written
        return conversation
    if system:
        raise InvalidMessagesError(f"{file} already has a system message. Leave out --system.")
    try:
        saved = read_regular(file).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidMessagesError(f"{file} cannot be read: {error}. Pass another file.") from None
    try:
        return Conversation.from_json(saved, orchestrator, model=model)
    except InvalidMessagesError as error:
        raise InvalidMessagesError(
            f"{file} is not a saved conversation: {error} Pass another file."
        ) from None


def _lines() -> Iterator[str]:
    """The lines typed or piped in, without empty ones; in a terminal with a prompt and editing keys."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401  # input() uses it for its editing keys
    while True:
        try:
            line = input("> ") if is_terminal else sys.stdin.readline()
        except EOFError:
            print()
            return
        except UnicodeDecodeError:
            raise InvalidMessagesError("Standard input is not valid UTF-8. Convert it first.") from None
        if not (line or is_terminal) or line.strip() == "/quit":
            return
        if line.strip():
            yield line.strip()


def _turn(conversation: Conversation, line: str) -> None:
    command = _COMMANDS.get(line)
    if command:
        command(conversation)
        return
    if line.startswith("/") and " " not in line:
        note(f"There is no command {clean(line)}. {HELP}")
        return
    try:
        note(summary(show_stream(conversation.stream(line))))
    except OrchestratorError as error:
        if not sys.stdin.isatty():
            raise
        note(f"Error: {error} The conversation is unchanged.", style="red")
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        note("Stopped. The conversation is unchanged.")


def _undo(conversation: Conversation) -> None:
    try:
        taken = conversation.undo()
    except OrchestratorError as error:
        note(str(error))
    else:
        note(f"Taken back: {clean(taken[0].text)[:60] if taken else ''}")


def _show_cost(conversation: Conversation) -> None:
    unknown = conversation.unpriced_requests
    more = f" and {unknown} of unknown price" if unknown else ""
    note(f"{conversation.usage.total_tokens or 0:,} tokens, cost {format_cost(conversation.cost)}{more}")


_COMMANDS: Dict[str, Callable[[Conversation], None]] = {
    "/undo": _undo,
    "/cost": _show_cost,
    "/help": lambda conversation: note(HELP),
}


def _save(conversation: Conversation, file: Optional[Path]) -> None:
    """Save the conversation, readable by its owner only."""
    if file is None:
        return
    try:
        with atomic_file(file, mode=OWN_MODE) as target:
            target.write(conversation.to_json().encode())
    except OSError as error:
        raise ConfigurationError(
            f"The conversation cannot be saved in {file}: {error.strerror}. Pass another file."
        ) from None
