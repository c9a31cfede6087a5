"""What the sentence of a failure says where no code does: too long, no credit, not taken, no such path.

Hosts word these in ever new ways, so each is a rule on the shape of the sentence; the words are data.
"""

from __future__ import annotations

import re
from typing import Match, Optional, Pattern

from llm_orchestrator.utils.lazy import LazyPattern

__all__ = [
    "depends_on_others",
    "says_no_credit",
    "says_no_such_model",
    "says_no_such_path",
    "says_not_taken",
    "says_too_long",
]


class _Words:
    """Forms of a sentence, compiled when a failure is first looked at: most programs see none."""

    def __init__(self, *forms: str) -> None:
        self._forms = forms
        self._pattern: Optional[Pattern[str]] = None

    def search(self, sentence: str) -> Optional[Match[str]]:
        """Find the first of the forms."""
        if self._pattern is None:
            self._pattern = re.compile("|".join(f"(?:{form})" for form in self._forms))
        return self._pattern.search(sentence)


def _beginning(sentence: str) -> str:
    """What is searched, in lower case: a reply may be a whole page."""
    return sentence[:1000].lower()


# ---- too long: what is read, a limit, and that it is passed

_LIMIT = (
    r"(exceed\w*|too (long|large|big|many)|maximum|longer|larger|greater|more|over|beyond|overflow\w*"
    r"|limit\w*|reduce|not enough|does(n't| not) fit|at most|less than|must be|should be|smaller|>)"
)
_READ = r"(prompts?|inputs?`?|messages?|conversation|history|request)"
_SIZE = r"(tokens?|context|length|long)"
_TOO_LONG = _Words(
    # the window itself: "maximum context length is 8192", "exceeds the available context size"
    rf"{_LIMIT}[^.!?]{{0,150}}\bcontext[ -]?(length|window|size|limit|overflow)",
    rf"\bcontext[ -]?(length|window|size|limit)s?\b[^!?]{{0,150}}\b{_LIMIT}",
    # what is read, and that it passes a limit: "input is too long", "prompt ... longer than the model length"
    rf"\b{_READ}( text| content| length)? (is|are|was|were) too long\b",
    rf"\b{_READ}\b[^.!?]{{0,150}}\b{_SIZE}\b[^!?]{{0,150}}?{_LIMIT}",
    rf"\b{_READ}\b[^.!?]{{0,150}}?{_LIMIT}[^!?]{{0,150}}\b{_SIZE}\b",
    # the limit first: "too many tokens in prompt", "maximum prompt length is 131072", "reduce the length"
    rf"{_LIMIT}[^.!?]{{0,150}}\b{_SIZE}\b[^.!?]{{0,150}}\b{_READ}\b",
    rf"{_LIMIT}[^.!?]{{0,150}}\b{_READ}[ _-]{_SIZE}\b",
)
#: The same words about something else: what is written, what is sent in a minute, other fields.
_NOT_THE_PROMPT = _Words(
    r"\b(completion|output|generated|new)[ _]tokens?\b(?![^.]*\b(context|prompt|messages)\b)",
    r"\bper[ -](second|minute|min|hour|day|month)\b",
    r"\b(rate|quota|tpm|rpm)\b",
    r"\bstring too long\b",
    r"\b(characters?|elements|items)\b",
    r"\b(image|file|audio|tool|function|header|schema)s?\b",
)


def says_too_long(sentence: str) -> bool:
    """Whether the prompt, alone or with the answer that was asked for, does not fit the model."""
    words = _beginning(sentence)
    return bool(_TOO_LONG.search(words)) and not _NOT_THE_PROMPT.search(words)


# ------------------------------------------------------- no credit: an account, and that it is empty

_EMPTY = (
    r"(too low|insufficient|not enough|exhausted|depleted|negative|used (up|all)|ran out|run out|out of"
    r"|overdue|in arrears|exceeded|past due|(don't|doesn't|does not) have any|no remaining|zero)"
)
_ACCOUNT = r"(credits?|balance|funds|prepaid|prepayment|billing|spend(ing)?[ _-]limit|payments?|account)"
_NO_CREDIT = _Words(
    rf"\b{_ACCOUNT}\b[^.!?]{{0,150}}\b{_EMPTY}\b",
    rf"\b{_EMPTY}\b[^.!?]{{0,150}}\b{_ACCOUNT}\b",
    r"\barrearage\b",
    r"\bpayment required\b",
    r"\bno( more)? (credits?|balance|funds)( is| are)? (remaining|left|available)\b",
    r"\b(reached|exceeded|hit)\b[^.!?]{0,60}\busage limits?\b",
    r"余额不足|欠费",
)
#: An account that sends too much has not run out of money.
_NOT_THE_MONEY = _Words(r"\bper[ -](second|minute|min|hour|day)\b", r"\brate[ -_]?limit")


def says_no_credit(sentence: str) -> bool:
    """Whether the account is out of money."""
    words = _beginning(sentence)
    return bool(_NO_CREDIT.search(words)) and not _NOT_THE_MONEY.search(words)


# ---- not taken: a field may not be there, or only with one value

_USED = (
    r"(be )?"
    r"(used|set|specified|combined|given|provided|passed|present|enabled|changed|modified|sent|supplied)"
)
_NOT_TAKEN = _Words(
    r"\bdeprecated\b",
    r"\bunsupported\b",
    r"(\bnot|n't|\bno longer) (be )?"
    r"(support|allow|available|permit|accept|take|recogni[sz]|compatible|valid for|valid with)",
    r"\bincompatible\b",
    rf"\b(cannot|can't|can not|may not|must not|should not) (both )?{_USED}",
    r"\bmay not be\b",
    r"\b(may|can|must|should) only\b",
    r"\bonly (the )?default\b",
    r"\bonly (be )?(set|used|supported|allowed|available|valid|accepted|compatible|works)\b",
    r"\b(unset|omitted|left out|absent)\b",
    r"\bmust be (null|none|empty|removed)\b",
    r"\b(unknown|unrecogni[sz]ed|unexpected|extra|extraneous|unsupported) (request )?"
    r"(parameter|field|argument|key|name|keyword|input|property|option)",
    r"\bnot (a )?(valid|known|recogni[sz]ed|supported) (parameter|field|argument|option)",
    r"\bnot enabled for\b",
    r"\bonly [\w.]+( ?=+ ?[\w.]+)? is (allowed|supported|accepted|valid)\b",
    # one value, and neither the end of a range nor the first of several
    r"\b(must|should) (be|equal)( exactly| set to| equal to)? \d+(\.\d+)?"
    r"(?![\w.]*\d)(?!\s*(or|to|and|-|,|<|>|\.\.))",
    r"\badditional propert\w+ .*not",
    r"\bis fixed\b",
    r"\bmutually exclusive\b",
    r"\bconflicts? with\b",
    r"\bnot both\b",
    r"\bunknown name\b",
)


def says_not_taken(sentence: str) -> bool:
    """Whether a field is refused as such, and not only its value as out of range."""
    return bool(_NOT_TAKEN.search(_beginning(sentence)))


_CONDITION = _Words(
    r"\b(when|while|if|unless|both|together|along with|alongside|in combination|combined|at the same time"
    r"|mutually exclusive|conflicts? with|incompatible with|not compatible with|compatible with|used with)\b"
)
#: What sounds like a condition and speaks of the model alone.
_ABOUT_THE_MODEL = LazyPattern(
    r"\b(when (using|used with)|if using|used with|(in)?compatible with) (this|the) model"
)


def depends_on_others(sentence: str) -> bool:
    """Whether a field is refused only beside others."""
    return bool(_CONDITION.search(_ABOUT_THE_MODEL.sub("", _beginning(sentence))))


# ------------------------------------------------------- not this address

_NO_SUCH_PATH = _Words(
    r"\binvalid url\b",
    r"\bunknown (request )?(url|path|endpoint|route)\b",
    r"\bno (such )?(route|path|endpoint)\b",
    r"\b(route|path|endpoint|page|url) (was )?not found\b",
    r"\bunrecogni[sz]ed request url\b",
    r"\bunexpected (endpoint|path|route)\b",
    r"\bmethod not allowed\b",
    r"\bcannot (post|get) /",
)
_A_MODEL = LazyPattern(r"\b(models?|deployments?|engine)\b")


def says_no_such_path(sentence: str) -> bool:
    """Whether the server does not know the path that was asked for."""
    return bool(_NO_SUCH_PATH.search(_beginning(sentence)))


def says_no_such_model(sentence: str, model: str) -> bool:
    """Whether what was not found is a model: the sentence speaks of one, or names the one asked for."""
    words = _beginning(sentence)
    named = re.search(rf"(?<!\w){re.escape(model.lower())}(?!\w)", words) if model else None
    return bool(_A_MODEL.search(words) or named)
