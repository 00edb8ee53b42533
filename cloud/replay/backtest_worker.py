"""The process in which a site's backtest is made: `python -m cloud.replay.backtest_worker`, a Task on stdin.

It answers lines: "done total" as it goes on, and last the Backtest as one line of JSON.
"""

from __future__ import annotations

import os
import signal
import sys
import time

import msgspec

from cloud.replay.backtest import backtest
from cloud.replay.site_backtest import Task
from cloud.replay.studies import Progress


def measure(task: Task, progress: Progress) -> bytes:
    """Measure a task in this process; imports LightGBM and statsforecast."""
    from cloud.forecasts.boosted import learn
    from cloud.forecasts.statsforecast_adapter import path_forecasts

    found = backtest(
        task.demand,
        horizon=task.horizon,
        folds=task.folds,
        learn=learn,
        path_forecasts=path_forecasts,
        watch=time.perf_counter,
        progress=lambda stage, done, total: progress(done, total),
    )
    return msgspec.json.encode(found)


def _tell(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.nice(10)  # what gateways send and people ask for goes first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent ends us
    answer = measure(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Task), _tell)
    sys.stdout.write(answer.decode() + "\n")
