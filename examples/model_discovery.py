"""Which models there are: asked of the providers only on request, cached, with what they say about each.

python examples/model_discovery.py [config.yaml]
"""

import sys
from pathlib import Path

from llm_orchestrator import LLMOrchestrator

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")

with LLMOrchestrator(CONFIG) as orchestrator:
    provider = orchestrator.active_provider
    print("known before:", orchestrator.get_available_models())

    orchestrator.refresh_models(provider)

    for model in orchestrator.registry.get_available_models(provider, include_deprecated=True):
        note = f"retires {model.retires_at}" if model.retires_at else "deprecated" if model.deprecated else ""
        print(f"  {model.name:40} window {model.context_window or 'not told':>10}  {note}")

    model = orchestrator.get_available_models()[0]
    print(f"{model} exists: {orchestrator.validate_model(model)}")
    print(orchestrator.registry.explain(provider, "text-embedding-example"))
