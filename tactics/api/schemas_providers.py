"""What the routes of outside benefit systems are asked and what they answer."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from tactics.api.schemas import WHOLE, Asked
from tactics.domain.activity import MOST_INTEGER, Code
from tactics.domain.plain import NO_NUL
from tactics.domain.provider_document import DAY_S, MAX_CONCURRENCY, MAX_TIMEOUT_MS, MAX_URL
from tactics.store.activities import Change

ProviderName = Annotated[Code, Path(description="the provider's name", examples=["wallet"])]
_SECRETS = "how many signing secrets there are: what is secret is never told again"


def _url(about: str) -> object:
    return Field(min_length=1, max_length=MAX_URL, pattern=NO_NUL, description=about)


class ProviderRequest(Asked):
    """An outside benefit system, whole: what is left out has its default. Its addresses must be allowed to be called."""

    url: Annotated[str, _url("where grants are asked for")]
    look_up_url: Annotated[
        str | None, _url("where a grant is asked about, with `{idempotency_id}` in its path or query; null: nowhere")
    ] = None
    list_url: Annotated[str | None, _url("where its grants are listed; null: nowhere")] = None
    idempotent: Annotated[
        bool, Field(description="whether a call repeated under its id has no second effect; if not, it is called once")
    ] = True
    remembers_s: Annotated[
        int,
        Field(gt=0, le=MOST_INTEGER, description="for so many seconds it knows an id: more than four timeouts"),
        WHOLE,
    ] = DAY_S
    timeout_ms: Annotated[int, Field(gt=0, le=MAX_TIMEOUT_MS, description="how long a call may take"), WHOLE] = 5_000
    max_concurrency: Annotated[
        int, Field(gt=0, le=MAX_CONCURRENCY, description="at most so many calls at a time"), WHOLE
    ] = 8
    enabled: Annotated[bool, Field(description="whether it is called; if not, grants wait")] = True


class ProviderAnswer(BaseModel):
    """An outside benefit system."""

    name: str
    url: str
    look_up_url: str | None
    list_url: str | None
    idempotent: bool
    remembers_s: int
    timeout_ms: int
    max_concurrency: int
    enabled: bool
    signing_secrets: Annotated[int, Field(description=_SECRETS)]


class ProviderList(BaseModel):
    """A page of outside benefit systems, by name."""

    providers: list[ProviderAnswer]
    next_cursor: str | None


class ProviderSaved(BaseModel):
    """What became of a provider."""

    name: str
    change: Change
    signing_secrets: Annotated[int, Field(description=_SECRETS)]


class SecretAnswer(BaseModel):
    """A new signing secret, told this once; the one before it goes on signing beside it."""

    name: str
    signing_secret: str
