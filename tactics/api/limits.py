"""What one request may ask for, so that none takes long or much memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tactics.rules.check import MAX_NODES

# A rule alone has at most 1 MiB, which the engine holds.
MAX_BODY_BYTES = 2 * 1024 * 1024
# Address and headers together.
MAX_HEAD_BYTES = 64 * 1024
# A body that takes longer to arrive is not waited for.
BODY_PATIENCE_S = 30.0
# Nor is a database that takes longer to say whether events are stored.
ACCEPT_PATIENCE_S = 10.0
# In one batch; at a thousand a commit costs as little for each as at a hundred thousand.
MAX_EVENTS = 1_000
MAX_RULES = 1_000
# What is listed of everything that is wrong with a request.
MAX_PROBLEMS = 100
# Each block of a rule may look at each record of the facts: a second or two of work, and megabytes of reasons.
MAX_LOOKS = 5_000_000
# Prices are worked out with exact fractions, line by line, and each rule is told of at each line that it lowers.
MAX_PRICE_LOOKS = 200_000
# What reading a line of an order strictly costs, in looks.
PRICE_READING = 10

_LONG_TEXT = 256
_TEXT_WEIGHT = 8
_LONG_NUMBER_BITS = 64
_NUMBER_WEIGHT_BITS = 32


def looks(rules: Iterable[object], facts: object, reading: int = 0) -> int:
    """How much work it may be to evaluate rules over facts: blocks of the rules times records of the facts.

    Members of lists are records; a text of more than 256 characters counts as one for every 8 of them, and a number that
    64 bits do not hold as one for every 32 bits. `reading` is what a record costs before any block looks at it.
    """
    return (reading + sum(_blocks(rule) for rule in rules)) * _records(facts)


def _blocks(rule: object) -> int:
    found, waiting = 0, [rule]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found += "block" in one
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
    # A rule beyond the engine's limit is refused, not run.
    return found if found <= MAX_NODES else 1


def _records(facts: object) -> int:
    found, waiting = 1, [facts]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list):
            found += len(one)
            waiting.extend(one)
        elif isinstance(one, str) and len(one) > _LONG_TEXT:
            found += len(one) // _TEXT_WEIGHT
        elif isinstance(one, int) and one.bit_length() > _LONG_NUMBER_BITS:
            found += one.bit_length() // _NUMBER_WEIGHT_BITS
    return found
