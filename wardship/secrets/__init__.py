"""Finding secrets in text: bytes in, hits out. It knows no repository, no database, no network.

    engine = load_engine()
    for hit in engine.scan(data, path="deploy/.env.production"): ...

Whoever calls decides what becomes of a hit; the value is a `Secret` and leaves only as a fingerprint (`fingerprint`).
"""

from wardship.secrets.catalogue import Detector, advice, detector_title, detectors
from wardship.secrets.engine import Engine, load_engine
from wardship.secrets.fingerprint import fingerprint, normalise
from wardship.secrets.hit import Hit

__all__ = [
    "Detector",
    "Engine",
    "Hit",
    "advice",
    "detector_title",
    "detectors",
    "fingerprint",
    "load_engine",
    "normalise",
]
