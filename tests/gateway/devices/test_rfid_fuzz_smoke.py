"""The fuzz target runs, on a few hundred inputs that are the same every time."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path


def test_the_fuzz_target_holds() -> None:
    path = Path(__file__).resolve().parents[2] / "fuzz" / "fuzz_llrp.py"
    spec = importlib.util.spec_from_file_location("fuzz_llrp", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    generator = random.Random(3)
    for _ in range(400):
        module.one_input(module.mutate(generator))
