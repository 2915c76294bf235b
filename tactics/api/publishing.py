"""What is live is changed only by callers who may publish, whichever way it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from tactics.api.access import Caller
from tactics.errors import Forbidden
from tactics.flows.reading import Around
from tactics.store import activities, behaviour_rules, providers


def may_publish(who: Caller) -> bool:
    """Tell whether a caller may change what is live."""
    return "activities:publish" in who.scopes


def must_publish(who: Caller, why: str) -> None:
    """Refuse a caller who may not publish.

    Args:
        who: the caller.
        why: the beginning of a sentence that ends with the scope that is needed.

    Raises:
        Forbidden: they lack the scope.
    """
    if not may_publish(who):
        raise Forbidden(f"{why} needs a key with the scope activities:publish", needed=["activities:publish"])


def live_stock_kept(who: Caller, activity_code: str) -> Around:
    """Give what surrounds a movement of stock: that of a live activity is moved by those who may publish."""

    @contextmanager
    def kept(conn: Connection) -> Iterator[None]:
        # Locked: nobody publishes it meanwhile.
        if not may_publish(who) and activities.locked(conn, activity_code).status == "live":
            must_publish(who, f"activity {activity_code!r} is live: to move its stock")
        yield

    return kept


def live_rules_kept(who: Caller) -> Around:
    """Give what surrounds a change: behaviour rules of live activities are changed by those who may publish.

    It is for transactions of which there is one at a time (`tactics.flows.reading.transaction`).
    """

    @contextmanager
    def kept(conn: Connection) -> Iterator[None]:
        if may_publish(who):
            yield
            return
        before = behaviour_rules.states(conn)
        yield
        changed = [key for key, state in behaviour_rules.states(conn).items() if before.get(key) != state]
        for key, code in behaviour_rules.live_users(conn, changed):
            must_publish(who, f"behaviour rule {key!r} is one of activity {code!r}, which is live: to change it")

    return kept


def live_provider_kept(who: Caller, name: str) -> Around:
    """Give what surrounds a change: of a provider that live activities name, by those who may publish.

    It is for transactions of which there is one at a time (`tactics.flows.reading.transaction`).
    """

    @contextmanager
    def kept(conn: Connection) -> Iterator[None]:
        if not may_publish(who) and (codes := providers.live_activities(conn, name)):
            must_publish(who, f"provider {name!r} is one of activity {codes[0]!r}, which is live: to change it")
        yield

    return kept
