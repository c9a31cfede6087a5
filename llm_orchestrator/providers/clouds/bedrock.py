"""Claude on Amazon Bedrock: with a Bedrock key, or signed by ``AnthropicBedrock`` with AWS credentials."""

from __future__ import annotations

import os
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple
from urllib.parse import quote

from llm_orchestrator.providers.anthropic_adapter import AnthropicAdapter
from llm_orchestrator.providers.clouds.base import ConfiguredNames, as_cloud_request
from llm_orchestrator.providers.clouds.event_stream import as_server_sent_events
from llm_orchestrator.providers.context import AttemptContext
from llm_orchestrator.providers.failures import Failure
from llm_orchestrator.providers.wire import Endpoint, Limits, RawReply, WireRequest
from llm_orchestrator.types import JSON, LLMRequest
from llm_orchestrator.utils.hidden import hidden
from llm_orchestrator.utils.values import evolve

__all__ = ["BedrockAdapter"]

API_VERSION = "bedrock-2023-05-31"
#: Routes of this kind are billed at Anthropic's list prices, others ten percent above.
GLOBAL_ROUTE = "global."
#: What the SDK says when AWS's chain ends without credentials; it has no class for that.
NO_CREDENTIALS = ("resolve credentials", "resolve AWS credentials")
ERROR_TYPE = "x-amzn-errortype"
STREAMED = "invoke-with-response-stream"


class BedrockAdapter(ConfiguredNames, AnthropicAdapter):
    """Claude in one AWS region."""

    service: ClassVar[str] = "aws.bedrock"
    extra: ClassVar[str] = "bedrock"
    platform: ClassVar[str] = "Bedrock"
    credential_packages: ClassVar[Tuple[str, ...]] = ("botocore", "boto3")
    credential_remedy: ClassVar[str] = "Run: aws configure, or set AWS's variables or api_key in the entry."

    def __init__(
        self,
        name: str,
        *,
        region: Optional[str] = None,
        api_version: Optional[str] = None,
        api_key: Optional[str] = None,
        **settings: Any,
    ) -> None:
        # Part of AWS's chain; named here, so that it is kept out of texts as any other key.
        api_key = api_key or os.environ.get("AWS_BEARER_TOKEN_BEDROCK")
        super().__init__(name, api_key=api_key, api_version=api_version or API_VERSION, **settings)
        self._region = self.required("region", region)

    def price_provider_of(self, model: str) -> str:
        """Whose price list holds: Anthropic's for global routes, nobody's for others."""
        return self.protocol if model.startswith(GLOBAL_ROUTE) else self.name

    def client_arguments(self) -> Dict[str, Any]:
        """The arguments of both clients; see ``AnthropicAdapter.client_arguments``."""
        if self._api_key is None:
            self.package("boto3")
        self.package("botocore")
        return {"api_key": self._api_key, "aws_region": self._region, "base_url": self._url}

    def client_headers(self) -> Dict[str, str]:
        """None: the SDK sends the credential in the cloud's form; see ``AnthropicAdapter.client_headers``."""
        return {}

    def endpoint(self) -> Endpoint:
        """Where the region's API is; see ``SDKProvider.endpoint``."""
        return Endpoint(self._url, {"authorization": f"Bearer {self._api_key}"})

    @property
    def _url(self) -> str:
        return self.base_url or f"https://bedrock-runtime.{self._region}.amazonaws.com"

    def build_attempt(self, request: LLMRequest, context: AttemptContext, *, stream: bool) -> WireRequest:
        """Translate a request, whose model stands in the path; see ``AnthropicAdapter``."""
        wire = super().build_attempt(request, context, stream=stream)
        method = STREAMED if stream else "invoke"
        path = f"/model/{quote(request.model, safe=':')}/{method}"
        headers = hidden({**self.headers, **request.extra_headers})
        return as_cloud_request(wire, path, self.api_version, headers, in_path=("model", "stream"))

    def count_request(self, request: LLMRequest, wire: WireRequest) -> WireRequest:
        """Raise: Anthropic's SDK has no counting there."""
        raise self.cannot_count("it is not offered for Claude on Bedrock")

    def parse_failure(self, body: JSON, status_code: Optional[int], headers: Mapping[str, str]) -> Failure:
        """Read a failure, whose kind Bedrock names in a header; see ``Adapter.parse_failure``."""
        failure = super().parse_failure(body, status_code, headers)
        kind = (headers.get(ERROR_TYPE) or "").partition(":")[0]
        return evolve(failure, codes=(kind, *failure.codes)) if kind else failure

    def _check_reader(self, wire: WireRequest) -> None:
        """A stream is paid for once it is opened, so what reads it has to be there before."""
        if wire.path.endswith(STREAMED):
            self.package("botocore")

    def open_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request; see ``Adapter.open_call``."""
        self._check_reader(wire)
        return as_server_sent_events(super().open_call(wire, limits))

    async def aopen_call(self, wire: WireRequest, limits: Limits) -> RawReply:
        """Send one request, async; see ``Adapter.aopen_call``."""
        self._check_reader(wire)
        return as_server_sent_events(await super().aopen_call(wire, limits))

    def _is_about_credentials(self, error: BaseException) -> bool:
        is_sdks_own = type(error) is RuntimeError and any(words in str(error) for words in NO_CREDENTIALS)
        return is_sdks_own or super()._is_about_credentials(error)
