"""What sentences of hosts mean: each list holds words that were seen, and words that only look alike."""

from __future__ import annotations

from typing import Type

import pytest

from llm_orchestrator.exceptions import (
    ContextLengthError,
    InvalidRequestError,
    ProviderError,
    QuotaExceededError,
    RateLimitError,
    ServerError,
)
from llm_orchestrator.providers.failure_words import says_no_credit, says_not_taken, says_too_long
from llm_orchestrator.providers.failures import Failure, error_of_failure

#: What is read does not fit the model.
TOO_LONG = [
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 10000 tokens.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or `max_tokens` and try again",
    "Input is too long for requested model.",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "Please reduce the length of the messages or completion.",
    "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens and your request has 100 input tokens",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "the request exceeds the available context size. try increasing the context size or enable context shift",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "the input length exceeds the context length",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "Too many tokens in prompt",
    "too many tokens: the total number of tokens in the prompt cannot exceed 4081",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000 `inputs` tokens and 512 `max_new_tokens`",
    "`inputs` must have less than 1024 tokens. Given: 2000",
    "This model's maximum prompt length is 131072 but the request contains 140000 tokens.",
    "The prompt is too long: 40000, model maximum context length: 32767",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens.",
    "Range of input length should be [1, 6000]",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "prompt token count of 64111 exceeds the limit of 12288",
    "invalid params, context window exceeds limit (2013)",
    "Invalid request: Your request exceeded model token limit: 8192 (requested: 9000)",
    "Prompt exceeds max length",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Too many input tokens. Max input tokens: 4096, request input token count: 5000",
    "Prompt is too long",
    "The total number of tokens (9000) exceeds the model's context window (8192)",
    "messages exceed the model's maximum number of tokens",
    "model max prompt tokens exceeded",
    "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (39000 of text input, 1000 in the output).",
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4000 in the messages, 1000 in the completion). Please reduce the length of the messages or completion.",
    "max_tokens (8000) plus prompt tokens (5000) exceed the model context of 8192 tokens",
]
#: Something else is too much.
NOT_TOO_LONG = [
    "max_tokens: 100000 > 64000, which is the maximum allowed number of output tokens for claude-x",
    "max_tokens is too large: 200000. This model supports at most 128000 completion tokens, whereas you provided 200000.",
    "Rate limit reached for m on tokens per min (TPM): Limit 30000, Requested 40000.",
    "Invalid 'user': string too long. Expected a string with maximum length 64, but got a string with length 70 instead.",
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760",
    "temperature: Input should be less than or equal to 1",
    "messages.0.content.1.image.source.base64: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    "request: max_tokens 5000 exceeds maximum completion tokens 4096",
    "Request too large",
    "Input should be a valid string",
    "max_tokens must be at least 1",
    "max_output_tokens must be less than 8192",
    "messages: at least one message is required",
    "Your request exceeded your organization's limit of 10000 tokens per minute",
    "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that is lower than 4096.",
    "Invalid 'tools': array too long. Expected an array with maximum length 128",
    "stop: too many sequences, maximum 4",
    "Invalid value for 'messages': too many messages",
    "No idea.",
    "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
    "messages: roles must alternate between user and assistant",
    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
    "top_logprobs must be less than or equal to 20",
    "The batch input must be at most 2048 elements long",
    "Your prompt was flagged",
    "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    "Budget tokens must be less than max_tokens",
    "`max_tokens` must be greater than `thinking.budget_tokens`.",
]
#: The account is empty.
NO_CREDIT = [
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    "Insufficient Balance",
    "insufficient balance",
    "Your account is suspended due to insufficient balance, please recharge your account",
    "Your newly created team doesn't have any credits yet. You can purchase credits",
    "Your team has used all available credits or reached its monthly spending limit.",
    "Access denied, please make sure your account is in good standing. Arrearage",
    "余额不足或无可用资源包,请充值。",
    "Sorry, your account balance is insufficient",
    "Insufficient credits. Add more using https://x",
    "You have run out of credits",
    "Payment Required",
    "account balance is negative",
]
#: Something else is wrong with an account.
CREDIT = [
    "You exceeded your current rate limit per minute for your account",
    "Rate limit exceeded, add credits",
    "This account is not allowed",
    "your account has exceeded the requests per minute",
    "The model does not exist",
    "Key limit",
    "messages: zero length",
]
#: A field may not be there.
NOT_TAKEN = [
    "`temperature` may only be set to 1 when thinking is enabled.",
    "`top_k` must be unset when thinking is enabled",
    "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
    "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
    "Unsupported parameter: 'temperature' is not supported with this model.",
    "`temperature` is deprecated for this model.",
    "Extra inputs are not permitted",
    "Unrecognized request argument supplied: seed",
    "Unknown parameter: 'seed'.",
    "unexpected keyword argument 'top_k'",
    "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled",
    "property 'seed' is unsupported",
    "presencePenalty: Penalty is not enabled for this model",
    "seed is not a valid parameter",
    "argument not supported: stream_options",
    "temperature is fixed at 1 for this model",
    "invalid temperature: only 1 is allowed for this model",
    "Additional properties are not allowed ('stream_options' was unexpected)",
    "The parameter `logprobs` specified in the request are not valid: model does not take it",
    "'stream_options' is only allowed when stream is true",
]
#: A field has a wrong value.
OUT_OF_RANGE = [
    "temperature: range: 0..1",
    "temperature must be between 0 and 2",
    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2",
    "temperature: Input should be less than or equal to 1",
    "max_tokens must be at least 1",
    "top_p must be > 0 and <= 1",
    "temperature should be a number",
    "seed must be an integer",
]


@pytest.mark.parametrize("sentence", TOO_LONG)
def test_fc3_what_says_too_long(sentence: str) -> None:
    assert says_too_long(sentence)
    for status in (400, 422, None):
        assert (
            type(error_of_failure(Failure(sentence, status, ("invalid_request_error",))))
            is ContextLengthError
        )


@pytest.mark.parametrize("sentence", NOT_TOO_LONG)
def test_fc3_what_only_sounds_like_it(sentence: str) -> None:
    assert not says_too_long(sentence)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (429, "rate_limit_exceeded", RateLimitError),
        (500, "server_error", ServerError),
        (None, "rate_limit_error", RateLimitError),
        (400, "insufficient_quota", QuotaExceededError),
        (401, "invalid_api_key", ProviderError),
    ],
)
def test_fc3_status_and_code_come_first(status: int, code: str, expected: Type[ProviderError]) -> None:
    error = error_of_failure(Failure("The prompt is too long.", status, (code,)))
    assert isinstance(error, expected) and not isinstance(error, ContextLengthError)


@pytest.mark.parametrize("sentence", NO_CREDIT)
def test_fc4_what_says_that_there_is_no_credit(sentence: str) -> None:
    assert says_no_credit(sentence)
    for status in (400, 403, 429):
        assert type(error_of_failure(Failure(sentence, status))) is QuotaExceededError


@pytest.mark.parametrize("sentence", CREDIT)
def test_fc4_what_only_sounds_like_it(sentence: str) -> None:
    assert not says_no_credit(sentence)


@pytest.mark.parametrize("sentence", NOT_TAKEN)
def test_fc2_what_says_that_a_field_is_not_taken(sentence: str) -> None:
    assert says_not_taken(sentence)


@pytest.mark.parametrize("sentence", OUT_OF_RANGE)
def test_fc2_what_says_that_a_value_is_wrong(sentence: str) -> None:
    assert not says_not_taken(sentence)
    assert type(error_of_failure(Failure(sentence, 400))) is InvalidRequestError


def test_fc3_a_page_of_words_is_searched_in_no_time() -> None:
    for words in ("prompt ", "context length ", "maximum tokens ", "credit balance ", "not be "):
        error_of_failure(Failure(words * 100_000, 400))  # it would take minutes if all of it were searched
