"""The JSON of OpenAI's two protocols, Chat and Responses."""

__all__ = ["CHAT", "RESPONSES"]

#: The names of the two, in ``pricing.price_usage`` and in the state of a message.
CHAT, RESPONSES = "chat", "responses"
