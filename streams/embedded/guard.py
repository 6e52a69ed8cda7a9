"""Runs one program and ends it when whoever started it is gone.

Started by path (``python -I guard.py GRACE program argument…``), standard library only. The first line on
standard output is the program's process id. Standard input is a pipe that the starter holds open and never
writes to: it closes when the starter asks for the end, and also when the starter is killed, however that
happens. The guard then ends the program, with force after GRACE seconds, and exits with its status.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    """Linux: should the guard itself be killed, the program is ended too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        pass


def _end(program: subprocess.Popen[bytes], grace: float) -> None:
    program.terminate()
    try:
        program.wait(grace)
    except subprocess.TimeoutExpired:
        program.kill()


def _watch(program: subprocess.Popen[bytes], grace: float) -> None:
    _wait_for_end_of_input()
    _end(program, grace)


def main(grace: float, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,
        preexec_fn=_die_with_guard if sys.platform == "linux" else None,
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_end, args=(program, grace)).start())
    os.write(1, f"{program.pid}\n".encode())
    os.close(1)
    threading.Thread(target=_watch, args=(program, grace), daemon=True).start()
    return program.wait()


if __name__ == "__main__":
    status = main(float(sys.argv[1]), sys.argv[2:])
    sys.exit(status if status >= 0 else 128 - status)
