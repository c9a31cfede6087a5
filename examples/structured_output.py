"""An answer as an instance of a class: the provider is held to its schema, pydantic checks what comes.

python examples/structured_output.py [config.yaml]
"""

import sys
from enum import Enum
from pathlib import Path

from pydantic import BaseModel, Field

from llm_orchestrator import LLMOrchestrator, OutputParseError, OutputTruncatedError

CONFIG = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("config.local.yaml")


class Urgency(Enum):
    LOW = "low"
    HIGH = "high"


class Product(Enum):
    COFFEE_MACHINE = "coffee machine"
    TOASTER = "toaster"


class Ticket(BaseModel):
    """What a customer wants."""

    urgency: Urgency
    product: Product = Field(description="What it is about.")
    is_broken: bool


MAIL = "My coffee machine leaks, and guests come at five! The toaster is fine."

with LLMOrchestrator(CONFIG) as orchestrator:
    request = f"Make a ticket of this mail: {MAIL}"
    ticket = orchestrator.send_request(request, response_format=Ticket, max_tokens=400).parsed
    print(f"whole:    {ticket!r}")

    with orchestrator.send_streaming_request(request, response_format=Ticket, max_tokens=400) as stream:
        pieces = list(stream)
    print(f"streamed: {stream.response.parsed!r}, in {len(pieces)} pieces")

    try:
        orchestrator.send_request(request, response_format=Ticket, max_tokens=5)
        print("The provider did not mind the limit.")
    except (OutputTruncatedError, OutputParseError) as error:
        print(f"cut:      {type(error).__name__}, paid for and kept: {error.response.content!r}")
