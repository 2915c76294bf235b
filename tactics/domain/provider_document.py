"""An outside benefit system as an operator sets it up: what is checked before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator

from tactics.domain.activity import MOST_INTEGER, Code, Document, refused, validation_problems
from tactics.domain.plain import plain_problem
from tactics.domain.provider import LOCAL, Provider
from tactics.errors import BadInput

ID_PLACE = "{idempotency_id}"
"""Where in a look-up address the id of a grant goes."""
MAX_URL = 2_000
MAX_TIMEOUT_MS = 30_000
MAX_CONCURRENCY = 1_000
DAY_S = 86_400
LEAST_TIMEOUTS = 4
"""A provider remembers ids for longer than so many timeouts: else there is no time to repeat a call that was unclear."""

_Url = Annotated[str, Field(min_length=1, max_length=MAX_URL)]
_Positive = Annotated[int, Field(gt=0, le=MOST_INTEGER, strict=True)]


class ProviderDocument(Document):
    """What an operator says of an outside benefit system; its secrets are made, not said."""

    name: Code
    url: _Url
    look_up_url: _Url | None = None
    list_url: _Url | None = None
    idempotent: Annotated[bool, Field(strict=True)] = True
    remembers_s: _Positive = DAY_S
    timeout_ms: Annotated[int, Field(gt=0, le=MAX_TIMEOUT_MS, strict=True)] = 5_000
    max_concurrency: Annotated[int, Field(gt=0, le=MAX_CONCURRENCY, strict=True)] = 8
    enabled: Annotated[bool, Field(strict=True)] = True

    @field_validator("name")
    @classmethod
    def _not_ours(cls, name: str) -> str:
        if name == LOCAL:
            raise ValueError(f"{LOCAL!r} is the name of what Tactics gives itself: take another one")
        return name

    @field_validator("look_up_url")
    @classmethod
    def _has_a_place(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if ID_PLACE not in f"{parts.path}?{parts.query}":
            raise ValueError(f"the path or the query has {ID_PLACE} where the id of the grant belongs")
        return url


def parse_provider(document: object) -> Provider:
    """Read what an operator says of an outside benefit system, and check all of it but where its addresses lead.

    Args:
        document: `{name, url, look_up_url?, list_url?, idempotent?, remembers_s?, timeout_ms?, max_concurrency?, enabled?}`.

    Raises:
        BadInput: with every problem in `problems`, each with the `path` (a JSON Pointer) and a `message`.
    """
    if not isinstance(document, Mapping):
        raise BadInput("a provider is a mapping with `name` and `url`", problems=[])
    name = document.get("name", "?")
    if (problem := plain_problem(document)) is not None:
        raise refused("provider", name, [problem])
    try:
        read = ProviderDocument.model_validate(dict(document))
    except ValidationError as error:
        raise refused("provider", name, validation_problems(error)) from None
    least_ms = LEAST_TIMEOUTS * read.timeout_ms
    if read.remembers_s * 1_000 <= least_ms:
        message = f"more than {LEAST_TIMEOUTS} timeouts, {least_ms / 1_000:g} s: a call that was unclear is repeated"
        raise refused("provider", name, [{"path": "/remembers_s", "message": message}])
    return Provider(**read.model_dump())


def provider_document(provider: Provider) -> dict[str, Any]:
    """Give what an operator said of a provider, as it can be said again."""
    return {name: getattr(provider, name) for name in ProviderDocument.model_fields}


def addresses(provider: Provider) -> dict[str, str]:
    """Give the addresses that are called, by their keys; a look-up's as it is for a grant of the id `0`."""
    found = {"url": provider.url, "look_up_url": provider.look_up_url, "list_url": provider.list_url}
    return {name: url.replace(ID_PLACE, "0") for name, url in found.items() if url is not None}
