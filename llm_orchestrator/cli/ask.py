"""The command ``ask``: one question, and its answer, streamed or as one JSON document."""

# No postponed annotations: on Python 3.9 typer finds no options in them.
import json
import sys
from typing import Annotated, Any, Dict, Iterable, List, Optional

import typer

from llm_orchestrator.cli.settings import (
    ConfigOption,
    ModelOption,
    ProviderOption,
    SystemOption,
    need_model,
    open_orchestrator,
)
from llm_orchestrator.cli.terminal import FAILED, fail, note, pieces, waiting
from llm_orchestrator.cost_tracker import format_cost
from llm_orchestrator.exceptions import InvalidMessagesError
from llm_orchestrator.streaming import LLMStream
from llm_orchestrator.types import FinishReason, LLMResponse

__all__ = ["ask", "show_stream", "summary"]


def ask(
    prompt: Annotated[
        Optional[str],
        typer.Argument(help="The question; left out or `-`: read standard input.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    system: SystemOption = None,
    max_tokens: Annotated[
        Optional[int], typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens of the answer.")
    ] = None,
    temperature: Annotated[
        Optional[float], typer.Option("--temperature", metavar="T", min=0, help="Sampling temperature.")
    ] = None,
    tag: Annotated[
        Optional[List[str]],
        typer.Option("--tag", metavar="NAME=VALUE", help="A tag for the ledger; may be repeated."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole answer as JSON, with usage and cost.")
    ] = False,
) -> None:
    """Ask a question; the answer is shown while it arrives.

    Examples: llm-orchestrator ask "What is 2+2?", or: git diff | llm-orchestrator ask --system "Review this."
    """
    arguments: Dict[str, Any] = {"max_tokens": max_tokens, "temperature": temperature, "tags": _tags(tag)}
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": _question(prompt)})
    with open_orchestrator(config, provider, model) as orchestrator:
        need_model(orchestrator)
        if as_json:
            with waiting("Waiting for the answer ..."):
                response = orchestrator.send_request(messages, **arguments)
            print(json.dumps(_document(response), indent=2, ensure_ascii=False))
        else:
            response = show_stream(orchestrator.send_streaming_request(messages, **arguments))
    _show_notes(response)


def show_stream(stream: LLMStream) -> LLMResponse:
    """Show an answer while it arrives."""
    with waiting("Waiting for the answer ..."):
        stream.__enter__()
    with stream:
        for chunk in stream:
            pieces.write(chunk)
        pieces.end()
        return stream.final_response()


def summary(response: LLMResponse) -> str:
    """One line about an answer: model, tokens and cost."""
    total = response.usage.total_tokens
    tokens = "tokens unknown" if total is None else f"{total:,} tokens"
    return f"{response.provider}/{response.model}, {tokens}, cost {format_cost(response.cost)}"


def _question(prompt: Optional[str]) -> str:
    if prompt is not None and prompt != "-":
        if not prompt.strip():
            raise InvalidMessagesError("The question is empty. Pass its text, or pipe text into the command.")
        return prompt
    if sys.stdin is None or (prompt is None and sys.stdin.isatty()):
        raise InvalidMessagesError(
            'There is no question. Run llm-orchestrator ask "What is 2+2?", or pipe text into it.'
        )
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidMessagesError("Standard input is not valid UTF-8. Convert it first.") from None
    if not text.strip():
        raise InvalidMessagesError(
            "Standard input is empty. Pipe text into it, or pass the question as an argument."
        )
    return text


def _tags(given: Optional[Iterable[str]]) -> Optional[Dict[str, str]]:
    pairs = [tag.partition("=") for tag in given or ()]
    for name, separator, _ in pairs:
        if not (name and separator):
            raise typer.BadParameter("write it as NAME=VALUE", param_hint="--tag")
    return {name: value for name, _, value in pairs} or None


def _document(response: LLMResponse) -> Dict[str, Any]:
    usage = response.usage
    return {
        "content": response.content,
        "provider": response.provider,
        "model": response.model,
        "finish_reason": response.finish_reason.value,
        "refusal": response.refusal,
        "usage": {name: value for name, value in vars(usage).items() if name != "raw"},
        "cost": None if response.cost is None else format(response.cost, "f"),
        "request_id": response.request_id,
        "session_id": response.session_id,
        "latency": response.latency,
        "attempts": [
            {"model": attempt.model, "error": attempt.error, "status_code": attempt.status_code}
            for attempt in response.attempts
        ],
        "warnings": list(response.warnings),
    }


def _show_notes(response: LLMResponse) -> None:
    """Show on standard error what is not in the answer itself."""
    for warning in response.warnings:
        note(warning, style="yellow")
    if response.finish_reason is FinishReason.LENGTH:
        note("The answer was cut off at the token limit. Raise --max-tokens.", style="yellow")
    note(summary(response))
    if response.finish_reason is FinishReason.CONTENT_FILTER:
        fail(f"The answer was refused: {response.refusal or 'the provider gave no reason.'}", FAILED)
