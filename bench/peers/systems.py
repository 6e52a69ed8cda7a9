"""Who takes part: how each is run, on which input, and in which form it gets it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class System:
    name: str
    module: str
    """In ``bench.peers``."""
    venv: str = ""
    """Of ``requirements/VENV.txt``; empty: this project's own."""
    variant: str = ""
    workers: int = 1
    streaming: bool = True
    large: bool = False
    """Whether it reads the whole input; the slow ones read its first events."""
    most: int = 0
    """Events that the slowest reads at most; 0: no limit of its own."""
    form: str = "file"
    """``file``: one file; ``parts``: one a worker; ``chunks``: small ones; ``kafka``: a topic."""
    warm: bool = False
    """Whether the job runs once before in the same process, for compilers to have compiled."""


SYSTEMS = (
    System("ringfence kernels", "ours", large=True, warm=True),
    System("ringfence kernels, msgspec", "ours", variant="msgspec", large=True, warm=True),
    System("ringfence kernels", "ours", workers=2, large=True, form="parts", warm=True),
    System("Bytewax", "on_bytewax", "bytewax"),
    System("Bytewax", "on_bytewax", "bytewax", workers=2, form="parts"),
    System("Pathway", "on_pathway", "pathway", warm=True),
    System("Pathway", "on_pathway", "pathway", workers=2, warm=True),
    System("Quix Streams", "on_quix", "quix", form="kafka"),
    System("Faust, windowed table", "on_faust", "faust", variant="table", most=5_000, form="kafka"),
    System("Faust, own dictionaries", "on_faust", "faust", variant="plain", form="kafka"),
    System("PyFlink", "on_pyflink", "pyflink", warm=True),
    System("PyFlink", "on_pyflink", "pyflink", workers=2, form="parts", warm=True),
    System("Spark", "on_spark", "spark", form="chunks", warm=True),
    System("Spark", "on_spark", "spark", workers=2, form="chunks", warm=True),
    System("plain Python", "plain"),
    System("Pathway, batch", "on_pathway", "pathway", variant="static", streaming=False, warm=True),
    System("ClickHouse SQL", "on_clickhouse", "clickhouse", streaming=False, large=True, warm=True),
    System(
        "ClickHouse SQL", "on_clickhouse", "clickhouse", workers=2, streaming=False, large=True, warm=True
    ),
)
