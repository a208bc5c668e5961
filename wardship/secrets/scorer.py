"""The generic tier's judgement: how probable it is that a candidate is a secret.

Boosted decision trees over `features`, then a calibration, both read from `weights.json`, which
`scripts/train_secrets.py` writes. A file of weights holds no sample: thresholds, leaf values and letter statistics.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, TypeAlias

WEIGHTS = Path(__file__).with_name("weights.json")
WORDS = 3.0  # up to this rarity, and without digits, a value reads like words: none of the labelled secrets did
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_INDEX = {letter: place for place, letter in enumerate(_LETTERS, 1)}


class Trigrams:
    """How usual three characters in a row are in names and prose: one digit each, 0 common to 9 never seen."""

    def __init__(self, digits: str) -> None:
        self._cost = [int(digit) for digit in digits]

    @lru_cache(maxsize=4096)  # noqa: B019 - one instance lives as long as the process
    def rarity(self, text: str) -> float:
        """0 reads like words .. 9 reads like noise: the mean over letters; 0 without letters."""
        total = count = one = two = 0
        for character in text[:200].lower():
            three = _INDEX.get(character, 0)
            if two and (three or one):
                total += self._cost[(one * 27 + two) * 27 + three]
                count += 1
            one, two = two, three
        return total / count if count else 0.0


_Tree: TypeAlias = "tuple[int, float, _Tree, _Tree] | float"
"""A node: feature, threshold, the tree for values up to it and the one for values above; or a leaf."""


class Scorer:
    def __init__(self, weights: dict[str, Any]) -> None:
        self.trigrams = Trigrams(weights["trigrams"])
        self._base: float = weights["base"]
        trees = [_tree(nodes, 0) for nodes in weights["trees"]]
        most = list(accumulate(map(_most, reversed(trees)), initial=0.0))
        self._trees = list(zip(trees, reversed(most[:-1]), strict=True))  # with the most that later trees can add
        self._calibration: list[list[float]] = weights["calibration"]

    def probability(self, vector: list[float], *, least: float = 0.0) -> float:
        """The calibrated probability, 0..1; where it is below `least`, some value below it."""
        raw = self.raw(vector, needed=self._needed(least))
        points = self._calibration
        if raw <= points[0][0]:
            return points[0][1]
        for (x0, y0), (x1, y1) in pairwise(points):
            if raw <= x1:
                return y0 + (y1 - y0) * (raw - x0) / (x1 - x0)
        return points[-1][1]

    def raw(self, vector: list[float], *, needed: float = -math.inf) -> float:
        """The score before calibration, 0..1; 0 as soon as it is sure that its logit will be below `needed`."""
        total = self._base
        for tree, most in self._trees:
            node = tree
            while isinstance(node, tuple):
                feature, threshold, low, high = node
                node = low if vector[feature] <= threshold else high
            total += node
            if total + most < needed:
                return 0.0
        return 1 / (1 + math.exp(-total))

    @lru_cache(maxsize=8)  # noqa: B019 - one instance lives as long as the process
    def _needed(self, least: float) -> float:
        """A logit below which the calibrated probability is below `least`."""
        low = 0.0
        for raw, probability in self._calibration:
            if probability >= least:
                break
            low = raw
        return math.log(low / (1 - low)) - 1e-6 if 0 < low < 1 else -math.inf


def _tree(nodes: list[list[Any]], at: int) -> _Tree:
    """The tree from the form it has in the file: nodes [feature, threshold, left, right], leaves [value]."""
    node = nodes[at]
    if len(node) == 1:
        return float(node[0])
    return int(node[0]), float(node[1]), _tree(nodes, node[2]), _tree(nodes, node[3])


def _most(tree: _Tree) -> float:
    """The greatest value of a leaf."""
    return max(_most(tree[2]), _most(tree[3])) if isinstance(tree, tuple) else tree


def load(weights: Path = WEIGHTS) -> Scorer:
    return Scorer(json.loads(weights.read_text("utf-8")))
