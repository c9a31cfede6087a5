"""What OpenAI's two wire formats share: error bodies, the model listing, and where they are configured."""

from __future__ import annotations

from typing import Any, ClassVar, List, Optional

from tests.support.scripted_server.wire_base import CREATED, Dialect, Json

CODES = {
    400: "invalid_value",
    401: "invalid_api_key",
    403: "unsupported_country_region_territory",
    404: "model_not_found",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "server_is_overloaded",
}

TYPES = {401: "authentication_error", 403: "permission_error", 429: "requests"}

FAILURES = {
    "bad_key": (401, "invalid_api_key", "Incorrect API key provided."),
    "permission": (
        403,
        "unsupported_country_region_territory",
        "Country, region, or territory not supported.",
    ),
    "quota": (429, "insufficient_quota", "You exceeded your current quota, please check your plan."),
    "rate_limit": (429, "rate_limit_exceeded", "Rate limit reached for requests per minute."),
    "model_not_found": (404, "model_not_found", "The model does not exist or you do not have access to it."),
    "context_length": (
        400,
        "context_length_exceeded",
        "Your input exceeds this model's maximum context length.",
    ),
    "bad_request": (400, "invalid_value", "Invalid value for 'messages'."),
    "server": (500, "server_error", "The server had an error while processing your request."),
    "overloaded": (
        503,
        "server_is_overloaded",
        "The engine is currently overloaded, please try again later.",
    ),
}


class OpenAIDialect(Dialect):
    """Base of the two OpenAI dialects."""

    provider = "openai"
    request_id_header = "x-request-id"
    codes = CODES
    failures = FAILURES
    #: The value of the configuration's ``api``.
    api: ClassVar[str]

    def config_entry(self, server_url: str, **settings: Any) -> Json:
        """The entry, with the path that OpenAI's base URL contains and the wire format to use."""
        return super().config_entry(server_url + "/v1", **{"api": self.api, **settings})

    def error_body(self, status: int, code: str, message: str, parameter: Optional[str]) -> Json:
        """The documented error object."""
        kind = TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
        if code == "insufficient_quota":
            kind = code
        return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}

    def model_entry(self, name: str) -> Json:
        """A model; the listing tells nothing of its capabilities."""
        return {
            "id": name,
            "object": "model",
            "created": CREATED,
            "owned_by": "system",
            "shutdown_date": None,
        }

    def listing(self, entries: List[Json], more: bool) -> Json:
        """The listing, always one page."""
        return {"object": "list", "data": entries}
