"""The command ``ask``: one question, one answer, streamed as it comes or whole as JSON."""

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
        typer.Argument(help="What to ask; left out or `-`: standard input.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    model: ModelOption = None,
    provider: ProviderOption = None,
    system: SystemOption = None,
    max_tokens: Annotated[
        Optional[int], typer.Option("--max-tokens", metavar="N", min=1, help="Most tokens to write.")
    ] = None,
    temperature: Annotated[
        Optional[float], typer.Option("--temperature", metavar="T", min=0, help="Sampling temperature.")
    ] = None,
    tag: Annotated[
        Optional[List[str]],
        typer.Option("--tag", metavar="NAME=VALUE", help="A mark for the ledger; may be repeated."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write the whole answer as JSON, with usage and cost.")
    ] = False,
) -> None:
    """Ask a question; the answer is shown as it comes.

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
    _tell(response)


def show_stream(stream: LLMStream) -> LLMResponse:
    """Show an answer as it comes."""
    with waiting("Waiting for the answer ..."):
        stream.__enter__()
    with stream:
        for chunk in stream:
            pieces.write(chunk)
        pieces.end()
        return stream.final_response()


def summary(response: LLMResponse) -> str:
    """Tell what an answer was and cost."""
    total = response.usage.total_tokens
    tokens = "tokens unknown" if total is None else f"{total:,} tokens"
    return f"{response.provider}/{response.model}, {tokens}, cost {format_cost(response.cost)}"


def _question(prompt: Optional[str]) -> str:
    if prompt is not None and prompt != "-":
        return prompt
    if sys.stdin is None or (prompt is None and sys.stdin.isatty()):
        raise InvalidMessagesError(
            'There is nothing to ask. Write llm-orchestrator ask "What is 2+2?", or pipe a text into it.'
        )
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidMessagesError("Standard input is not text in UTF-8. Convert it first.") from None
    if not text.strip():
        raise InvalidMessagesError("Standard input is empty. Pipe a text into it, or give the question.")
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


def _tell(response: LLMResponse) -> None:
    """Say on standard error what the answer itself does not show."""
    for warning in response.warnings:
        note(warning, style="yellow")
    if response.finish_reason is FinishReason.LENGTH:
        note("The answer was cut at the limit of tokens. Raise --max-tokens.", style="yellow")
    if sys.stderr.isatty():
        note(summary(response))
    if response.finish_reason is FinishReason.CONTENT_FILTER:
        fail(f"The answer was refused: {response.refusal or 'the provider gives no reason.'}", FAILED)
