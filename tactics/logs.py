"""What a long-running process says: lines for a person at a terminal, JSON lines for everything else."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor

# At INFO they tell of every task twice, and of every turn of beat; Flower shows tasks better.
_CHATTY = ("celery.app.trace", "celery.beat", "celery.worker.strategy", "alembic", "kombu")


# It quotes whole what it cannot make a task of: somebody's event, under a wrong name.
_QUOTING = "celery.worker.consumer.consumer"


def _without_messages(record: logging.LogRecord) -> bool:
    """Leave of a record that quotes a message only the first line, which says what is wrong with it."""
    told = str(record.msg)
    if record.name == _QUOTING and ("message body was" in told or "decode message body" in told):
        first = told.splitlines()[0].partition(" [")[0]
        cause = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if "decode" in first:
            cause = type(cause).__name__  # its text quotes, too
        record.msg, record.args = first, (cause,) if "%" in first else ()
        record.exc_info = record.exc_text = None
    return True


def configure_logs(level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Send structlog's events and the standard library's records the same way.

    What is logged are ids, names, counts and errors; whoever logs leaves out what a user did or who that is.

    Args:
        level: the least that is shown.
        stream: where to; standard error when left out.
    """
    out = stream or sys.stderr
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if out.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    handler.addFilter(_without_messages)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    quiet = logging.WARNING if root.level == logging.INFO else logging.NOTSET
    for name in _CHATTY:
        logging.getLogger(name).setLevel(quiet)
