"""Runs benchmarks by name and shows their figures: `./run bench`, `./run bench wire_bytes ingest`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

#: What runs when no name is given, in the order of the loop. The portal benchmark takes half an hour and is run by name.
FIGURES = ("epc_decode", "llrp_decode", "gateway_flood", "ledger_write", "wire_bytes", "ingest", "pages", "latency")


def main() -> None:
    known = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "bench"))
    names = sys.argv[1:] or list(FIGURES)
    for name in names:
        if name not in known:
            print(f"bench: there is no benchmark {name}; known: {', '.join(known)}", file=sys.stderr)
            sys.exit(2)
    failed = False
    for name in names:
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True, check=False
        )
        failed |= done.returncode != 0
        for line in done.stdout.splitlines():
            try:
                print(json.dumps(json.loads(line), indent=2))
            except ValueError:
                print(line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
