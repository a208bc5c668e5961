"""The generic tier's judgement: how probable it is that a candidate is a secret.

Boosted decision trees over `features`, then a calibration, both read from `weights.json`, which
`scripts/train_secrets.py` writes. A file of weights holds no sample: thresholds, leaf values and letter statistics.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

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


class Scorer:
    def __init__(self, weights: dict[str, Any]) -> None:
        self.trigrams = Trigrams(weights["trigrams"])
        self._base: float = weights["base"]
        self._trees: list[list[Any]] = weights["trees"]
        self._calibration: list[list[float]] = weights["calibration"]

    def probability(self, vector: list[float]) -> float:
        """The calibrated probability, 0..1."""
        raw = self.raw(vector)
        points = self._calibration
        if raw <= points[0][0]:
            return points[0][1]
        for (x0, y0), (x1, y1) in pairwise(points):
            if raw <= x1:
                return y0 + (y1 - y0) * (raw - x0) / (x1 - x0)
        return points[-1][1]

    def raw(self, vector: list[float]) -> float:
        """The score before calibration, 0..1. A node is [feature, threshold, left, right], a leaf [value]."""
        total = self._base
        for tree in self._trees:
            node = tree[0]
            while len(node) > 1:
                node = tree[node[2] if vector[node[0]] <= node[1] else node[3]]
            total += node[0]
        return 1 / (1 + math.exp(-total))


def load(weights: Path = WEIGHTS) -> Scorer:
    return Scorer(json.loads(weights.read_text("utf-8")))
