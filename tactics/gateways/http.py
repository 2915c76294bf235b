"""Outer systems over HTTP."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from concurrent import futures

import httpx
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from tactics import metrics
from tactics.domain.catalogue import Name
from tactics.errors import BadInput, GatewayError
from tactics.gateways.beside import LoopBeside
from tactics.gateways.ports import Candidate

MOST_BYTES = 256 * 1024
"""A longer answer is refused, without reading on."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tactics"}


class _Item(BaseModel):
    model_config = ConfigDict(strict=True)

    item_id: Name
    score: FiniteFloat


class _Answer(BaseModel):
    # The other side may say more than is asked for.
    model_config = ConfigDict(extra="ignore")

    items: list[_Item] = Field(max_length=10_000)


class HttpRecall:
    """Items that a service of yours recalls: POST {user_id, item_ids, limit} → {items: [{item_id, score}]}.

    The whole call has one deadline. httpx's own timeouts start anew with every read, so a server that sends a byte at a
    time would get round them; the call therefore runs in an event loop beside, and is cancelled there. The contract is in
    docs/how-to/recall.md.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        """Keep where to ask and how long to wait; nothing starts before the first call, so a fork does no harm.

        Raises:
            BadInput: this is no address.
        """
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise BadInput(f"TACTICS_RECALL_URL is no address: {error}") from error
        self._timeout_s = timeout_s
        self._beside = LoopBeside("tactics.recall")
        self._client: httpx.AsyncClient | None = None

    def candidates(self, user_id: str, item_ids: Sequence[str], limit: int) -> Sequence[Candidate]:
        """Ask the service.

        Raises:
            GatewayError: no answer in time, or one that breaks the contract; the text says which.
        """
        body = {"user_id": user_id, "item_ids": list(item_ids), "limit": limit}
        asked = self._beside.start(self._ask(body))
        started, outcome = time.perf_counter(), "bad_answer"
        try:
            answer = asked.result(self._timeout_s)
            outcome = "ok"
        except futures.TimeoutError:
            outcome = "timeout"
            raise GatewayError(f"recall did not answer within {self._timeout_s * 1000:.0f} ms") from None
        except (httpx.HTTPError, OSError) as error:
            outcome = "unreachable"
            raise GatewayError(f"recall could not be asked: {type(error).__name__}") from error
        except ValidationError as error:
            # What stands in the answer may be about users: only where it is wrong is told.
            first = error.errors(include_url=False, include_input=False)[0]
            where = "/".join(map(str, first["loc"])) or "the body"
            raise GatewayError(f"recall gave a bad answer: {where}: {first['msg']}") from None
        finally:
            asked.cancel()
            metrics.PROVIDER_CALLS.count("recall", outcome)
            metrics.PROVIDER_SECONDS.observe(time.perf_counter() - started, "recall")
        best = sorted(answer.items, key=lambda one: (-one.score, one.item_id))[:limit]
        return [Candidate(one.item_id, one.score) for one in best]

    async def _ask(self, body: dict[str, object]) -> _Answer:
        if self._client is None:
            self._client = self._make_client()
        text = bytearray()
        async with self._client.stream("POST", self._url, json=body) as response:
            if response.status_code != httpx.codes.OK:
                raise GatewayError(f"recall answered with status {response.status_code}, not 200")
            async for chunk in response.aiter_raw():
                text += chunk
                if len(text) > MOST_BYTES:
                    raise GatewayError(f"recall gave a bad answer: more than {MOST_BYTES} bytes")
        return _Answer.model_validate_json(bytes(text))

    def _make_client(self) -> httpx.AsyncClient:
        # No proxies and passwords from the environment: settings are the only reader of it.
        return httpx.AsyncClient(
            headers=_HEADERS,
            timeout=self._timeout_s,
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
        )

    def close(self) -> None:
        """Close connections and end the thread."""
        client, self._client = self._client, None
        self._beside.close(client.aclose() if client is not None else None)
