"""Logging: one line of JSON an event, redacted before it is written, no local variables in tracebacks.

`logger(name)` gives a structlog logger over the standard library's; until `setup` is called nothing under WARNING
is shown. `setup` belongs to the program's start (app, cli), never to a library module.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog

from wardship.sdk.redact import redact


def _redact(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {key: redact(value, key=key) for key, value in event.items()}


_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.format_exc_info,
    structlog.processors.StackInfoRenderer(),
]


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger. Events are short dotted names, facts are keywords: `log.info("http.call", status=200)`."""
    wrapped: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return wrapped


def setup(level: int = logging.WARNING, *, stream: TextIO | None = None) -> None:
    """Sends all logging, other libraries' too, to `stream` (default: stderr) as redacted JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter())
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for chatty in ("httpx", "httpcore", "botocore", "urllib3"):  # they write whole URLs and headers
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def formatter() -> logging.Formatter:
    """The formatter of `setup`: ours and foreign records alike end as one redacted JSON line."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_SHARED,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _redact,
            structlog.processors.JSONRenderer(ensure_ascii=True),
        ],
    )
