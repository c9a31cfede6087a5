"""Logs calls to a ledger in a database, and says of each that it was logged: URL, spool, name, calls, pause."""

from __future__ import annotations

import sys
import time
from decimal import Decimal

from llm_orchestrator.utils.values import evolve
from tests.support.costs import TOKENS, make


def main(url: str, spool: str, name: str, calls: str, pause: str = "0") -> None:
    tracker = make(None, database_url=url, spool_path=spool)
    record = make(None).log_usage("p", name, TOKENS, cost=Decimal("0.1"))
    for number in range(int(calls)):
        tracker.add(evolve(record, call_id=f"{name}-{number}"))
        print(f"{name}-{number}", flush=True)
        if float(pause):
            time.sleep(float(pause))
    tracker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
