"""The compact prefix structure behind a numbering plan: an acyclic automaton over digits.

A node is a label (what a number that ends here is; 0: not a number) and ten children, one a digit. Equal
nodes are one node, so everything that cannot become a number any more is node ``DEAD``, and ten thousand
number blocks that look the same cost as much as one. Nodes never change: an edit makes new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

DEAD = 0
NOTHING = 0
"""Label of a node where no number ends."""

Node = int
Children = tuple[Node, ...]
_NONE: Children = (DEAD,) * 10


class PrefixTree:
    def __init__(self) -> None:
        self._ids: dict[tuple[int, Children], Node] = {(NOTHING, _NONE): DEAD}
        self._nodes: list[tuple[int, Children]] = [(NOTHING, _NONE)]

    def node(self, label: int, children: Children = _NONE) -> Node:
        key = (label, children)
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self._nodes)
            self._nodes.append(key)
        return found

    def label(self, node: Node) -> int:
        return self._nodes[node][0]

    def children(self, node: Node) -> Children:
        return self._nodes[node][1]

    def find(self, root: Node, digits: str) -> Node:
        """The node reached by ``digits``; ``DEAD`` where nothing starts with them."""
        for digit in digits:
            root = self.children(root)[int(digit)]
        return root

    def edit(self, root: Node, digits: str, change: Callable[[Node], Node]) -> Node:
        """``root`` with the node under ``digits`` replaced by what ``change`` makes of it."""
        if not digits:
            return change(root)
        label, children = self._nodes[root]
        at = int(digits[0])
        changed = self.edit(children[at], digits[1:], change)
        return self.node(label, (*children[:at], changed, *children[at + 1 :]))

    def over(self, upper: Node, lower: Node) -> Node:
        """Both: where the two say something of the same number, ``upper`` wins."""

        @cache
        def merge(upper: Node, lower: Node) -> Node:
            if DEAD in (upper, lower):
                return upper or lower
            (label, mine), (other, theirs) = self._nodes[upper], self._nodes[lower]
            return self.node(label or other, tuple(map(merge, mine, theirs)))

        return merge(upper, lower)

    def relabel(self, root: Node, change: Callable[[int], int]) -> Node:
        """``root`` with every label but ``NOTHING`` changed."""

        @cache
        def rewrite(node: Node) -> Node:
            label, children = self._nodes[node]
            changed = change(label) if label else NOTHING
            return self.node(changed, tuple(map(rewrite, children))) if node else DEAD

        return rewrite(root)

    def set_lengths(self, root: Node, lengths: Iterable[int], label: int) -> Node:
        """``root`` where every number that ends ``lengths`` digits below it gets ``label``."""
        wanted = frozenset(lengths)
        deepest = max(wanted, default=-1)

        @cache
        def spread(node: Node, depth: int) -> Node:
            if depth > deepest:
                return node
            old, children = self._nodes[node]
            return self.node(
                label if depth in wanted else old, tuple(spread(child, depth + 1) for child in children)
            )

        return spread(root, 0)

    def prune(self, root: Node, gone: int) -> Node:
        """``root`` with dead ends gone: where label ``gone`` is all that could follow, nothing can."""

        @cache
        def cut(node: Node) -> Node:
            label, children = self._nodes[node]
            below = tuple(map(cut, children)) if node else _NONE
            return DEAD if below == _NONE and label in (NOTHING, gone) else self.node(label, below)

        return cut(root)

    def leaves(self, labels: npt.NDArray[np.integer], below: int) -> Node:
        """Numbers of one length as a tree: ``labels[i]`` is that of all numbers that start with ``i``.

        ``labels`` has 10**k entries, for the k digits below the node returned; every number has ``below``
        more digits after those.
        """
        nodes = np.array(
            [
                self.set_lengths(DEAD, (below,), label) if label else DEAD
                for label in range(int(labels.max()) + 1)
            ]
        )[labels]
        while len(nodes) > 1:
            rows, inverse = np.unique(nodes.reshape(-1, 10), axis=0, return_inverse=True)
            made = [self.node(NOTHING, tuple(row)) for row in rows.tolist()]
            nodes = np.array(made)[inverse.reshape(-1)]
        return int(nodes[0])

    def pack(self, root: Node) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """What is reachable from ``root`` as arrays: children ``[nodes, 10]`` and labels ``[nodes]``, int32.

        Row 0 is ``DEAD``, row 1 is ``root``.
        """
        order = {DEAD: 0, root: 1}
        for node in (queue := [DEAD, root]):
            for child in self.children(node):
                if child not in order:
                    order[child] = len(order)
                    queue.append(child)
        children = [[order[child] for child in self.children(node)] for node in queue]
        labels = [self.label(node) for node in queue]
        return np.array(children, dtype=np.int32), np.array(labels, dtype=np.int32)
