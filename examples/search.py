"""A search over this project's pages by what they mean, and an answer from the best of them.

python examples/search.py [config.yaml]
"""

import sys
from pathlib import Path
from typing import List

from llm_orchestrator import InvalidRequestError, LLMOrchestrator

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
QUESTION = "What happens when a provider does not answer?"


def opening(page: Path) -> str:
    """The title of a page and its first words."""
    return page.read_text(encoding="utf-8")[:200]


def closeness(one: List[float], other: List[float]) -> float:
    """The cosine of two vectors, where both have the length 1; else its order is near enough here."""
    return sum(a * b for a, b in zip(one, other))


with LLMOrchestrator(CONFIG) as orchestrator:
    try:
        response = orchestrator.embed([opening(page) for page in PAGES] + [QUESTION])
    except InvalidRequestError as error:
        print(f"No vectors: {error}")
    else:
        *vectors, asked = response.vectors
        ranked = sorted(zip(PAGES, vectors), key=lambda found: closeness(found[1], asked), reverse=True)
        for page, vector in ranked[:3]:
            print(f"{closeness(vector, asked):.2f}  {page.name}")
        best = "\n\n".join(opening(page) for page, _ in ranked[:3])
        answer = orchestrator.send_request(f"{best}\n\nAnswer by these pages: {QUESTION}", max_tokens=60)
        print(f"{len(vectors)} pages, {response.usage.prompt_tokens} tokens: {answer.content}")
