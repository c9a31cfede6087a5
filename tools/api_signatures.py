"""Shows mkdocstrings, which makes the API reference, the parameters of methods that take those of a template.

It reads the sources without running them, so it does not see what ``takes_parameters_of`` does.
"""

from __future__ import annotations

from typing import Any

import griffe


class TakenParameters(griffe.Extension):
    """Puts the function's parameters in the place of ``**arguments``."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        names = ("orchestrator.LLMOrchestrator", "conversation.Conversation", "cost_tracker.CostTracker")
        classes = [pkg[name] for name in names]
        for method in [method for each in classes for method in each.functions.values()]:
            for decorator in method.decorators:
                if decorator.callable_path.endswith(".takes_parameters_of"):
                    function = method.resolve(str(decorator.value.arguments[0]))
                    taken = pkg[function.partition(".")[2]].parameters
                    method.parameters = griffe.Parameters(method.parameters["self"], *taken)
