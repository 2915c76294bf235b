"""Pseudonyms: under one of these goes on what must stay of a user who was erased."""

from __future__ import annotations

from uuid import uuid4

PREFIX = "erased:"


def new_pseudonym() -> str:
    """Make a pseudonym: random, so that nobody can work out whose it is."""
    return f"{PREFIX}{uuid4()}"


def is_pseudonym(user_id: str) -> bool:
    """Tell whether this is no user's id but a pseudonym."""
    return user_id.startswith(PREFIX)


def no_pseudonym(user_id: str) -> str:
    """Keep callers from adding to what is left of an erased user.

    Raises:
        ValueError: it is a pseudonym.
    """
    if is_pseudonym(user_id):
        raise ValueError(f"ids that begin with {PREFIX!r} are kept for users who were erased")
    return user_id
