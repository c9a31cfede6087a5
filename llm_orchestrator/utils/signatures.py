"""Methods that pass their arguments on: they take the parameters of what they pass them to.

Editors and ``help`` read the signature at run time, mypy by ``ParamSpec``.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, Callable, Tuple, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    Parameters = ParamSpec("Parameters")

__all__ = ["shares_parameters_with", "takes_parameters_of"]

Result = TypeVar("Result")


def takes_parameters_of(
    template: Callable[Parameters, Any],
) -> Callable[[Callable[..., Result]], Callable[Concatenate[Any, Parameters], Result]]:
    """Give methods that pass their arguments on to ``template`` its signature, for editors and mypy."""

    def decorate(method: Callable[..., Result]) -> Callable[Concatenate[Any, Parameters], Result]:
        own = inspect.signature(method)
        parameters = [own.parameters["self"], *_parameters_of(template)]
        method.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
        return method

    return decorate


@cache  # of few templates, each shared by several methods
def _parameters_of(template: Callable[..., Any]) -> Tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(template).parameters.values())


def shares_parameters_with(
    template: Callable[..., Any],
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Give a method the signature of another one of its class, for editors; its overloads tell mypy."""

    def decorate(method: Callable[..., Result]) -> Callable[..., Result]:
        returned = inspect.signature(method).return_annotation
        signature = inspect.signature(template).replace(return_annotation=returned)
        method.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
        return method

    return decorate
