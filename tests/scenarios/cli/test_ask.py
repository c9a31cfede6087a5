"""``ask`` and ``chat``: answers on every wire format, their failures, and conversations that are kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.scenarios.cli.conftest import Command, configuration, without_its_key, write
from tests.support.costs import read
from tests.support.scripted_server import DIALECTS, Dialect, ScriptedServer
from tests.support.scripted_server.replies import Reply

CHAT = DIALECTS["chat"]


@pytest.mark.parametrize("prompt", ["argument", "stdin", "dash"])
def test_an_answer_comes_from_every_provider(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect, prompt: str
) -> None:
    write(folder, configuration(server, dialect, folder))
    server.script(dialect.stream(["Four", ".\n"]))
    arguments = {"argument": ["What is 2+2?"], "stdin": [], "dash": ["-"]}[prompt]

    run = command("ask", *arguments, "--system", "Be brief.", stdin="What is 2+2?")

    assert (run.code, run.out) == (0, "Four.\n")
    (request,) = server.requests
    asked = dialect.read_request(request.body, request.path)
    assert (asked["messages"][-1], asked["system"]) == (("user", "What is 2+2?"), "Be brief.")
    assert [row["status"] for row in read(folder / "costs.csv")] == ["ok"]


def test_an_answer_as_json_tells_usage_and_cost(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    server.script(CHAT.whole("Vier. Ünï"))

    run = command("ask", "Hi", "--json", "--max-tokens", "7", "--tag", "team=docs")

    answer = json.loads(run.out)
    assert (run.code, answer["content"], answer["usage"]["total_tokens"]) == (0, "Vier. Ünï", 18)
    assert (answer["cost"], answer["finish_reason"], answer["provider"]) == (None, "stop", "openai")
    assert CHAT.read_request(server.requests[0].body, "")["max_tokens"] == 7
    assert [row["tags"] for row in read(configured / "costs.csv")] == ['{"team": "docs"}']


@pytest.mark.parametrize(
    ("reply", "out", "told"),
    [
        (CHAT.error(401, message="No such key."), "", "No such key."),
        (CHAT.stream(["Fo"], complete=False), "Fo", "Error: "),
        (CHAT.stream([], refusal="I will not."), "\n", "The answer was refused: I will not."),
    ],
)
def test_an_answer_that_fails_says_why(
    command: Command, configured: Path, server: ScriptedServer, reply: Reply, out: str, told: str
) -> None:
    server.script(reply)

    run = command("ask", "Hi")

    assert (run.code, run.out.strip("\n")) == (1, out.strip("\n"))
    assert told in run.err and "Traceback" not in run.err
    assert run.err.startswith("Error: ") or "unknown" in run.err, "the log does not say it again"


def test_an_answer_that_was_cut_says_so(command: Command, configured: Path, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["One, two"], finish="length"))

    run = command("ask", "Count")

    assert (run.code, run.out) == (0, "One, two\n")
    assert "was cut" in run.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "told"),
    [
        ((), "", "Standard input is empty."),
        ((), None, "There is no question."),
        (("Hi", "--provider", "gemni"), "", "no provider named 'gemni'"),
        (("Hi", "--tag", "docs"), "", "NAME=VALUE"),
        (("Hi", "--provider", "lokal"), "", "no provider named 'lokal'. Known: openai."),
        (("Hi", "--config", "none.yaml"), "", "There is no configuration none.yaml."),
    ],
)
def test_a_wrong_question_sends_nothing(
    command: Command, configured: Path, server: ScriptedServer, arguments: tuple, stdin: str, told: str
) -> None:
    run = command("ask", *arguments, stdin=stdin)

    assert (run.code, run.out, server.requests) == (2, "", [])
    assert told in run.err


@pytest.mark.parametrize("name", ["ask", "chat"])
def test_a_provider_that_is_named_needs_no_key_of_the_active_one(
    command: Command, folder: Path, server: ScriptedServer, name: str
) -> None:
    write(folder, without_its_key(server, folder))
    server.script(CHAT.stream(["Hello."]))
    words = {"ask": ["ask", "Hi"], "chat": ["chat"]}[name]

    run = command(*words, "-p", "mine", "-m", "scripted-1", stdin="Hi\n")
    mistyped, active, modelless = command(*words, "-p", "mne"), command(*words), command(*words, "-p", "mine")

    assert (run.code, run.out) == (0, "Hello.\n"), run
    assert [failed.code for failed in (mistyped, active, modelless)] == [2, 2, 2]
    assert "Did you mean 'mine'?" in mistyped.err and "ANTHROPIC_API_KEY" not in mistyped.err
    assert "ANTHROPIC_API_KEY" in active.err and "Pass one with --model." in modelless.err
    assert len(server.requests) == 1


# ---------------------------------------------------------------------------------------- chat


def test_a_conversation_is_kept_and_goes_on(
    command: Command, folder: Path, server: ScriptedServer, dialect: Dialect
) -> None:
    write(folder, configuration(server, dialect, folder))
    server.script(dialect.stream(["Hello, Ada."]), dialect.stream(["Ada."]))

    first = command("chat", "talk.json", "--system", "Be brief.", stdin="I am Ada.\n\n")
    second = command("chat", "talk.json", stdin="Who am I?\n/cost\n/quit\nnever sent\n")

    assert (first.code, first.out, second.code, second.out) == (0, "Hello, Ada.\n", 0, "Ada.\n")
    last = server.requests[-1]
    asked = dialect.read_request(last.body, last.path)
    assert asked["messages"][-3:] == [
        ("user", "I am Ada."),
        ("assistant", "Hello, Ada."),
        ("user", "Who am I?"),
    ]
    assert len(server.requests) == 2
    assert "36 tokens" in second.err
    kept = folder / "talk.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


def test_a_conversation_stays_with_its_provider_when_another_one_is_active(
    command: Command, folder: Path, server: ScriptedServer
) -> None:
    write(folder, configuration(server, DIALECTS["anthropic"], folder))
    assert command("chat", "talk.json", stdin="Hi\n").code == 0
    both = configuration(server, DIALECTS["chat"], folder)
    both["providers"]["anthropic"] = DIALECTS["anthropic"].config_entry(server.url)
    write(folder, both)

    run = command("chat", "talk.json", stdin="Again\n")

    assert run.code == 0 and "anthropic/scripted-1, 2 messages" in run.err
    assert DIALECTS["anthropic"].serves(server.requests[-1].path)


def test_a_turn_is_taken_back(command: Command, configured: Path, server: ScriptedServer) -> None:
    server.script(CHAT.stream(["A"]), CHAT.stream(["B"]))

    run = command("chat", "talk.json", stdin="/undo\nOne\n/undo\nTwo\n/nonsense\n/help\n")

    assert run.code == 0
    assert "no answer to take back" in run.err and "Taken back: One" in run.err
    assert "There is no command /nonsense." in run.err
    messages = json.loads((configured / "talk.json").read_text())["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant"]
    assert "Two" in str(messages) and "One" not in str(messages)


def test_a_failed_turn_of_a_script_ends_it_and_keeps_what_was_said(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    server.script(CHAT.stream(["A"]), CHAT.error(500))

    run = command("chat", "talk.json", stdin="One\nTwo\nThree\n")

    assert (run.code, run.out, len(server.requests)) == (1, "A\n", 2)
    assert len(json.loads((configured / "talk.json").read_text())["messages"]) == 2


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        ("no conversation", (), "talk.json"),
        ("{}", (), "conversation"),
        (None, ("--system", "Be brief."), "already has a system message"),
    ],
)
def test_a_file_that_cannot_go_on_is_left_as_it_is(
    command: Command, configured: Path, text: str, arguments: tuple, told: str
) -> None:
    file = configured / "talk.json"
    if text is None:
        assert command("chat", "talk.json").code == 0
    else:
        file.write_text(text)
    before = file.read_bytes()

    run = command("chat", "talk.json", *arguments, stdin="Hi\n")

    assert run.code == 2 and told in run.err
    assert file.read_bytes() == before


def test_a_conversation_that_cannot_be_kept_is_not_begun(
    command: Command, configured: Path, server: ScriptedServer
) -> None:
    run = command("chat", "no/folder/talk.json", stdin="Hi\n")

    assert (run.code, server.requests) == (2, [])
    assert "cannot be saved" in run.err


def test_a_chat_needs_something_to_read(command: Command, configured: Path) -> None:
    run = command("chat", stdin=None)

    assert run.code == 2 and "Standard input is closed" in run.err


@pytest.mark.parametrize("question", ["", "  "])
def test_ff12_an_empty_question_is_refused(
    command: Command, configured: Path, server: ScriptedServer, question: str
) -> None:
    run = command("ask", question)
    assert run.code == 2 and "The question is empty" in run.err
    assert server.requests == []
