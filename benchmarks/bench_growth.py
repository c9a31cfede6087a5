"""What must not grow: a call with the calls made, the length of the ledger and the models known.

    python benchmarks/bench_growth.py

A young orchestrator and an old one take turns: the old one has made 10,000 calls, has a ledger of 200,000
rows more, and knows 5,000 models. A turn of a conversation of 1,000 turns is compared with one of 250: its
history has to be sent, so four times as much is linear.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict

from figures import TOLERANCE, compared, table
from measure import in_turns, repeated

from llm_orchestrator import LLMOrchestrator
from llm_orchestrator.testing import FakeProvider

CALLS_MADE, ROWS, MODELS = 10_000, 200_000, 5_000
LONG, SHORT = 1_000, 250
MODEL = "gpt-6-luna"


def orchestrator(folder: Path, models: int = 1) -> LLMOrchestrator:
    """An orchestrator with a ledger, whose provider answers at once.

    Args:
        folder: Where its files are.
        models: How many models the provider lists.

    Returns:
        The orchestrator.
    """
    folder.mkdir()
    config: Dict[str, Any] = {
        "active_provider": "fake",
        "active_model": MODEL,
        "providers": {"fake": {}},
        "cost_tracking": {"log_path": str(folder / "ledger.csv")},
        "model_registry": {"cache_path": str(folder / "models.json")},
    }
    provider = FakeProvider("Fine.", name="fake", models=[f"model-{number}" for number in range(models)])
    return LLMOrchestrator(config, providers={"fake": provider})


def grown(folder: Path) -> LLMOrchestrator:
    """An orchestrator that has seen much.

    Args:
        folder: Where its files are.

    Returns:
        The orchestrator.
    """
    old = orchestrator(folder, MODELS)
    old.refresh_models()
    for _ in range(CALLS_MADE):
        old.send_request("Hi")
    ledger = folder / "ledger.csv"
    row = ledger.read_bytes().splitlines(keepends=True)[-1]
    with ledger.open("ab") as file:
        file.write(row * ROWS)
    return old


def turn_after(asked: LLMOrchestrator, turns: int) -> Callable[[], Any]:
    """A turn of a conversation that has so many behind it.

    Args:
        asked: The orchestrator.
        turns: The turns.

    Returns:
        Takes a turn, and takes it back.
    """
    conversation = asked.start_conversation()
    for _ in range(turns):
        conversation.send("And then?")

    def turn() -> None:
        conversation.send("And then?")
        conversation.undo()

    return turn


def main() -> int:
    """Measure, and print the table.

    Returns:
        The exit code: 1 when something grew by over 15 percent more than it may.
    """
    with tempfile.TemporaryDirectory() as place:
        young, old = orchestrator(Path(place, "young")), grown(Path(place, "old"))
        ask = {"ours": lambda: old.send_request("Hi"), "theirs": lambda: young.send_request("Hi")}
        talk = {"ours": turn_after(young, LONG), "theirs": turn_after(young, SHORT)}
        call = in_turns({name: repeated(each) for name, each in ask.items()}, turns=15, calls=100)
        turn = in_turns({name: repeated(each) for name, each in talk.items()}, turns=15, calls=10)
        figures = [
            compared("one call", "old and young", call, target=1.1),
            compared("one turn", f"after {LONG} and {SHORT}", turn, target=LONG / SHORT),
        ]
        young.close()
        old.close()
    print(table(figures))
    return int(any(figure.is_missed(TOLERANCE) for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
