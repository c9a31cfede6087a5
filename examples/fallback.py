"""What happens when a model fails: retries, then the next model of the same provider, and how to see it.

    python examples/fallback.py [config.yaml]

On the local model the first part is played by a scripted provider, since the local model does not fail.
"""

import logging
import sys
from pathlib import Path

from llm_orchestrator import AllFallbacksFailedError, LLMOrchestrator, OverloadedError, RateLimitError
from llm_orchestrator.testing import FakeProvider

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")

# A scripted provider: overloaded twice, then an answer. It needs no entry of its own in the configuration
# file.
script = [OverloadedError("Overloaded.", status_code=529)] * 2 + ["An answer from the second model."]
settings = {
    "active_provider": "scripted",
    "active_model": "first-model",
    "providers": {"scripted": {"fallback_models": ["second-model"], "max_retries": 1}},
}
with LLMOrchestrator(settings, providers={"scripted": FakeProvider(script, name="scripted")}) as orchestrator:
    response = orchestrator.send_request("Hello")
    print(response.content)
    for attempt in response.attempts:
        print(f"  {attempt.model}: {attempt.error or 'answered'}")

# When every model fails, the error tells the whole story and its cause is the first failure.
broken = FakeProvider(RateLimitError("Slow down.", status_code=429), name="scripted")
with LLMOrchestrator(settings, providers={"scripted": broken}) as orchestrator:
    try:
        orchestrator.send_request("Hello", max_retries=0)
    except AllFallbacksFailedError as error:
        print(
            [f"{attempt.model}: {attempt.error}" for attempt in error.attempts],
            "first:",
            repr(error.__cause__),
        )

# The same on a real provider: name fallback_models in its entry, and read response.attempts.
with LLMOrchestrator(CONFIG) as orchestrator:
    response = orchestrator.send_request("Say hello.", max_tokens=20)
    print(response.content)
    print([(attempt.model, attempt.error) for attempt in response.attempts])
