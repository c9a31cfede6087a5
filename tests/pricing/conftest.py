"""Makes the price table's tools importable, as they import each other when run as a script."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
