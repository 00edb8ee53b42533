"""The pages' test bench lives beside the cloud's tests."""

from __future__ import annotations

import sys
from pathlib import Path

_CLOUD = Path(__file__).parent.parent / "cloud"
sys.path[:0] = [folder for folder in (str(_CLOUD), str(_CLOUD / "web")) if folder not in sys.path]
