"""Makes the price table's tools importable, as they import each other when run as a script."""

from __future__ import annotations

import sys

from tests.support.configs import ROOT

sys.path.append(str(ROOT / "tools"))
