"""What can be wrong around us, in words that say what to do next; the command line gives it an exit code."""

from __future__ import annotations


class Fault(Exception):
    """Something needed is not there or not as it must be. ``do_next`` is what a person should try."""

    def __init__(self, message: str, do_next: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.do_next = do_next

    def __str__(self) -> str:
        return f"{self.message}; {self.do_next}" if self.do_next else self.message


class Usage(Fault):
    """What was asked for cannot be: a wrong argument, setting or input file."""
