"""Keys whose requests have to be signed: over HTTP, with a body and without, while secrets are exchanged, within limits."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tactics.api import keyring, replay
from tactics.api.limits import MAX_BODY_BYTES
from tactics.api.problems import Refused
from tactics.api.signature import HEADER, sign
from tactics.domain.api_key import NewApiKey
from tactics.flows.api_key import CreatedKey, begin_rotation, create, end_rotation
from tests.driving import Drive

PROBE = "/v1/rules/blocks"
CHECK = "/v1/rules/check"
BODY = json.dumps({"rule": {"block": "pbb.condition.nothing_such", "params": {"text": "\u00e9" * 300}}}).encode()


def _signed(key: CreatedKey, secret: str | None, body: bytes = b"", *, at: float | None = None) -> dict[str, str]:
    header = {HEADER: sign(secret, body, int(time.time() if at is None else at))} if secret else {}
    return {"Authorization": f"Bearer {key.key}", "Content-Type": "application/json", **header}


def test_signed_requests_come_in_and_others_do_not(live: Drive, api_of: Callable[..., Any]) -> None:
    """What was signed arrives whole; without signature, with another's, another body or an old time it does not."""
    api = api_of(live)
    key = create(live.runtime, NewApiKey("signed", ("audit:read",), signed=True))
    other = create(live.runtime, NewApiKey("other", ("audit:read",), signed=True))
    plain = create(live.runtime, NewApiKey("plain", ("audit:read",)))
    secret = key.signing_secret
    assert secret is not None
    found = api.post(CHECK, content=BODY, headers=_signed(key, secret, BODY))
    assert (found.status_code, found.json()["ok"]) == (200, False)
    assert "nothing_such" in found.text
    halves = iter([BODY[:100], BODY[100:]])
    assert api.post(CHECK, content=halves, headers=_signed(key, secret, BODY)).status_code == 200
    assert api.get(PROBE, headers=_signed(key, secret)).status_code == 200
    assert api.get(PROBE, headers=_signed(plain, None)).status_code == 200
    wrong = [
        _signed(key, None, BODY),
        _signed(key, other.signing_secret, BODY),
        _signed(key, key.key, BODY),
        _signed(key, secret, BODY + b" "),
        _signed(key, secret),
        _signed(key, secret, BODY, at=time.time() - 310),
        _signed(key, secret, BODY, at=time.time() + 310),
        {**_signed(key, secret, BODY), HEADER: "nonsense"},
    ]
    for headers in wrong:
        answer = api.post(CHECK, content=BODY, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), headers
        assert HEADER in answer.json()["detail"]
        assert secret not in answer.text
    twice = [*_signed(key, secret, BODY).items(), (HEADER, "t=1,v1=" + "0" * 64)]
    assert api.post(CHECK, content=BODY, headers=twice).status_code == 401
    assert api.get(PROBE, headers=_signed(key, secret, BODY)).status_code == 401


def test_secrets_are_exchanged_without_a_gap(
    live: Drive, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two ends of a rotation both secrets sign; before it only the old one does, after it only the new one."""
    monkeypatch.setattr(keyring, "FRESH_S", 0.0)
    monkeypatch.setattr(keyring, "AHEAD_S", 0.0)
    api = api_of(live)
    key = create(live.runtime, NewApiKey("signed", ("audit:read",), signed=True))

    def good(secret: str | None) -> bool:
        return bool(api.get(PROBE, headers=_signed(key, secret)).status_code == 200)

    assert good(key.signing_secret)
    new = begin_rotation(live.runtime, key.id)
    assert good(key.signing_secret)
    assert good(new)
    assert end_rotation(live.runtime, key.id)
    assert not good(key.signing_secret)
    assert good(new)


def test_bodies_to_verify_are_limited(live: Drive, api_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is too large, said or not, or too slow is not read to its end; without a valid key none is read at all."""
    api = api_of(live)
    key = create(live.runtime, NewApiKey("signed", ("audit:read",), signed=True))
    large = b" " * (MAX_BODY_BYTES + 1)

    def parts() -> Any:
        for at in range(0, len(large), 65_536):
            yield large[at : at + 65_536]

    assert api.post(CHECK, content=large, headers=_signed(key, key.signing_secret, large)).json()["code"] == "too_large"
    answer = api.post(CHECK, content=parts(), headers=_signed(key, key.signing_secret))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    async def never() -> Any:
        await asyncio.sleep(60)

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    monkeypatch.setattr(replay, "BODY_PATIENCE_S", 0.05)
    scope = {"type": "http", "headers": []}
    for receive, status in ((never, 408), (gone, 400)):
        with pytest.raises(Refused) as refused:
            asyncio.run(replay.read_whole(scope, receive))
        assert refused.value.status_code == status
    asked: list[bool] = []

    async def asked_for() -> Any:
        asked.append(True)
        return {"type": "http.request", "body": b""}

    async def send(_: Any) -> None:
        pass

    headers = [(b"authorization", b"Bearer tk_aaaaaaaaaaaa_" + b"a" * 43), (b"tactics-signature", b"t=1,v1=0")]
    wanted = {
        "type": "http",
        "method": "POST",
        "path": CHECK,
        "headers": headers,
        "client": ("192.0.2.1", 1),
        "query_string": b"",
    }
    api.portal.call(api.app, wanted, asked_for, send)
    assert not asked
