"""Recorded calls of any supported format as call events."""

from streams.importers.events import open_events
from streams.importers.files import FORMATS, ImportProblem, guess_format

__all__ = ["FORMATS", "ImportProblem", "guess_format", "open_events"]
