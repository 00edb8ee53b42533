"""Processes of programs that are imported already: a start costs a fork and not the second that Python needs to import.

    python tests/faults/zygote.py SOCKET MODULE...

It imports the modules and listens on the Unix socket. A request (JSON, with the child's standard output and error as file
descriptors) has it fork a child that runs the module's own `main()` with the given words and environment: the same code,
files and sockets as of a program started from the shell. It answers with the child's process id and, once that has ended,
its exit status, one line each. It ends, and its children with it, when its standard input is closed.
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import Any

#: Bytes of a request at most.
REQUEST = 1 << 16


class Zygote:
    """The process that forks."""

    def __init__(self, address: str, modules: list[str]) -> None:
        self._modules = {name: importlib.import_module(name) for name in modules}
        gc.collect()
        gc.freeze()
        self._children: dict[int, socket.socket] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(address)
        self._listener.listen(64)
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)

    def serve(self) -> None:
        """Fork and reap until standard input is closed."""
        with selectors.DefaultSelector() as selector:
            for source in (self._listener, self._woken, sys.stdin.buffer):
                selector.register(source, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if sys.stdin.buffer in ready:
                    for child in self._children:
                        os.kill(child, signal.SIGKILL)
                    return
                if self._listener in ready:
                    self._start(self._listener.accept()[0])
                if self._woken in ready:
                    os.read(self._woken, 1_024)
                    self._reap()

    def _start(self, connection: socket.socket) -> None:
        data, ancillary, _, _ = connection.recvmsg(REQUEST, socket.CMSG_SPACE(2 * 4))
        ends = array.array("i", ancillary[0][2])
        request = json.loads(data)
        child = os.fork()
        if child == 0:
            self._become(request, ends)
        for end in ends:
            os.close(end)
        self._children[child] = connection
        connection.sendall(f"{child}\n".encode())

    def _become(self, request: dict[str, Any], ends: array.array[int]) -> None:
        """In the child: run the program, and never return."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(ends[0], 1)
            os.dup2(ends[1], 2)
            os.closerange(
                3, max(*ends, self._listener.fileno(), *(one.fileno() for one in self._children.values())) + 1
            )
            os.environ.clear()
            os.environ.update(request["environment"])
            sys.argv = request["words"]
            self._modules[request["module"]].main()
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            with self._children.pop(child) as connection:
                connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    Zygote(sys.argv[1], sys.argv[2:]).serve()
