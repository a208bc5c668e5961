"""The judgement of the generic tier."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardship.secrets.candidates import candidates
from wardship.secrets.features import Place, features
from wardship.secrets.scorer import WEIGHTS, Scorer, load


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return load()


def test_trees_and_calibration_do_what_the_numbers_say() -> None:
    tree = [[0, 0.5, 1, 2], [-2.0], [2.0]]
    scorer = Scorer(
        {"trigrams": "0" * 27**3, "base": 0.0, "trees": [tree], "calibration": [[0.2, 0.1], [0.8, 0.7], [0.9, 0.9]]}
    )
    assert scorer.raw([0.0]) == pytest.approx(1 / (1 + 2.718281828459045**2))
    assert scorer.probability([0.0]) == 0.1  # below the first point
    assert scorer.probability([1.0]) == pytest.approx(0.7 + 0.2 * (scorer.raw([1.0]) - 0.8) / 0.1)


@given(st.lists(st.floats(-1, 70), min_size=80, max_size=80), st.sampled_from([0.0, 0.01, 0.2, 0.5, 0.76, 0.99]))
def test_what_is_improbable_may_be_left_unfinished_and_nothing_else(
    scorer: Scorer, vector: list[float], least: float
) -> None:
    whole = scorer.probability(vector)
    quick = scorer.probability(vector, least=least)
    assert quick == whole if whole >= least else quick < least


def test_words_are_usual_and_noise_is_not(scorer: Scorer) -> None:
    rarity = scorer.trigrams.rarity
    assert max(rarity(word) for word in ("password", "connection", "default value", "event handler")) < 3
    assert min(rarity(noise) for noise in ("xqkzvbw", "gkfhqpzd", "TzQwXkVj")) > 5
    assert rarity("12345") == 0.0


@given(st.text(max_size=120))
def test_every_vector_has_the_length_that_was_trained_and_a_probability(scorer: Scorer, text: str) -> None:
    nodes = [node for tree in json.loads(WEIGHTS.read_bytes())["trees"] for node in tree if len(node) > 1]
    for one in candidates(f'password = "{text}"'):
        vector = features(one, f'password = "{text}"', Place.of("a.py"), scorer.trigrams.rarity)
        assert len(vector) > max(node[0] for node in nodes)
        assert 0 < scorer.probability(vector) < 1


def test_the_place_is_known_by_its_path() -> None:
    assert (Place.of("src/a.PY").kind, Place.of(".env.local").kind, Place.of("Dockerfile").kind) == (
        "code",
        "settings",
        "shell",
    )
    assert Place.of("poetry.lock").kind == "lock"
    assert Place.of("tests/a.py").test
    assert not Place.of("src/latest.py").test
