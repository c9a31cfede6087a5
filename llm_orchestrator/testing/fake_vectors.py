"""Vectors for tests: made of a text's words alone, the same in every program."""

from __future__ import annotations

import math
import random
from typing import List

__all__ = ["DIMENSIONS", "fake_vector"]

#: Numbers in a vector, where a call does not ask for another length.
DIMENSIONS = 8


def fake_vector(text: str, dimensions: int) -> List[float]:
    """A vector of length 1 that depends on the words: texts that share some are closer than others."""
    numbers = [0.0] * dimensions
    for word in text.lower().split() or [text]:
        chance = random.Random(word)  # by a text, it is the same in every process
        numbers = [number + chance.uniform(-1, 1) for number in numbers]
    size = math.sqrt(sum(number * number for number in numbers))
    return [number / size for number in numbers]
