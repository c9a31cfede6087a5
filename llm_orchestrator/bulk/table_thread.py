"""Asks a database in a thread of its own, for the tasks of a loop; what comes meanwhile is done together.

The thread ends when there is nothing to do, and begins again with the next wish.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any, Callable, List, NamedTuple, Optional, Sequence, Tuple

__all__ = ["Step", "TableThread"]

#: Takes all wishes that are waiting, and returns what became of each.
Step = Callable[[List[Any]], Sequence[Any]]


class _Wish(NamedTuple):
    step: Step
    item: Any
    done: Future[Any]


class TableThread:
    """Carries out wishes.

    ``steps`` are what may be wished, in the order in which they are done; ``keep_up`` is called before each
    round, and each ``beat`` seconds: it returns whether there is still something to keep up.
    """

    def __init__(
        self, steps: Sequence[Callable[..., Any]], *, keep_up: Callable[[], bool], beat: float
    ) -> None:
        self._steps = steps
        self._keep_up = keep_up
        self._beat = beat
        self._change = threading.Condition()
        self._wishes: List[_Wish] = []
        self._thread: Optional[threading.Thread] = None

    def do(self, step: Step, item: Any) -> Future[Any]:
        """Wish for something; it is done also where nobody waits for it any more."""
        done: Future[Any] = Future()
        done.set_running_or_notify_cancel()
        with self._change:
            self._wishes.append(_Wish(step, item, done))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="llm-journal", daemon=True)
                self._thread.start()
            self._change.notify()
        return done

    def close(self) -> None:
        """Wait until all wishes are carried out, and the thread has ended."""
        with self._change:
            thread, self._beat = self._thread, 0
            self._change.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        has_more = True
        while has_more:
            wishes, may_end = self._next()
            is_needed = self._keep_up()
            for step in self._steps:
                self._carry_out(step, [wish for wish in wishes if wish.step == step])
            if may_end and (not is_needed or self._beat == 0):
                has_more = not self._ended()

    def _next(self) -> Tuple[List[_Wish], bool]:
        """The wishes that wait, and whether there was none for a while."""
        with self._change:
            if not self._wishes:
                self._change.wait(self._beat)
            wishes, self._wishes = self._wishes, []
            return wishes, not wishes

    def _ended(self) -> bool:
        with self._change:
            if self._wishes:  # one came that counts on this thread
                return False
            self._thread = None
            return True

    def _carry_out(self, step: Step, wishes: List[_Wish]) -> None:
        if not wishes:
            return
        try:
            results = step([wish.item for wish in wishes])
        except Exception as error:  # noqa: BLE001  # whoever waits for it is told
            for wish in wishes:
                wish.done.set_exception(error)
        else:
            for wish, result in zip(wishes, results):
                wish.done.set_result(result)
