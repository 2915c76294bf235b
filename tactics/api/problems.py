"""What is wrong with a request, as RFC 9457 problem details; what went wrong in here is never told."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from tactics.api.limits import MAX_PROBLEMS
from tactics.errors import TacticsError, Unauthorized
from tactics.rules.problem import pointer

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# Every `code` with its title, which does not change from one occurrence to another.
TITLES: Mapping[str, str] = {
    "not_json": "The body is not JSON.",
    "form": "The request has the wrong form.",
    "rule_error": "A rule or an order is not well-formed.",
    "not_http": "The request is not HTTP.",
    "head_too_large": "The headers are too large.",
    "media_type": "The body has to be JSON, of a media type that this address takes, and not compressed.",
    "too_large": "The body is too large.",
    "too_slow": "The body took too long to arrive.",
    "too_much_work": "The rules and facts together are too much for one request.",
    "not_found": "There is nothing by this name or at this address.",
    "method_not_allowed": "This address does not know this method.",
    "internal": "Something went wrong here.",
}
_TREE = [TacticsError]
for _one in _TREE:
    _TREE.extend(_one.__subclasses__())
TITLES = {**{one.code: one.__doc__.strip().splitlines()[0] for one in _TREE if one.__doc__}, **TITLES}
_UNTITLED = "The request could not be answered."
# Their texts name servers and processes: they are for whoever operates this, in the log.
_NOT_TOLD = frozenset({"database_down", "redis_down", "not_configured", "error"})
_TOLD_INSTEAD = "The log of the service says more."
_OF_STATUS = {404: "not_found", 405: "method_not_allowed"}


class Refused(HTTPException):
    """A request that is not answered, and why.

    `detail` says it for people; `problems` are `{"path", "code", "message"}`, each path a JSON Pointer into the body.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        problems: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code
        self.problems = problems


def install(app: FastAPI) -> None:
    """Let an app answer every error as a problem."""
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misformed)
    app.add_exception_handler(TacticsError, raised)
    app.add_exception_handler(Exception, failed)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refused):
        return _problem(request, error.status_code, error.code, str(error.detail), error.problems, error.headers)
    status = error.status_code if isinstance(error, StarletteHTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    code = _OF_STATUS.get(status, "form" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal")
    headers = dict(getattr(error, "headers", None) or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers |= _allow(request)
    return _problem(request, status, code, f"{request.method} {request.url.path}", headers=headers)


def _allow(request: Request) -> dict[str, str]:
    """Give the methods of an address, of all its routes: the framework knows those of the first alone."""
    paths: Mapping[str, Mapping[str, Any]] = request.app.openapi()["paths"]
    path = request.url.path
    templates = (one for one in paths if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one)), path))
    known = paths.get(path if path in paths else next(templates, ""), {})
    return {"Allow": ", ".join(sorted(one.upper() for one in known))} if known else {}


async def raised(request: Request, error: Exception) -> Response:
    """Answer an error of the tree in `tactics.errors` as the problem that it is."""
    if not isinstance(error, TacticsError):  # pragma: no cover  # installed for nothing else
        raise error
    if error.code in _NOT_TOLD:
        _LOG.error("request %s failed: %s", _request_id(request), error)
    fields = dict(error.fields)
    problems = [{"code": error.code, **one} for one in fields.pop("problems", ())]
    detail = _TOLD_INSTEAD if error.code in _NOT_TOLD else error.message
    headers = {"Retry-After": str(fields.pop("retry_after_s", 1))} if error.retryable else {}
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return _problem(request, error.http_status, error.code, detail, problems, headers, fields)


def title_of(code: str) -> str:
    """Give the title of a code, of an error that was defined after this module too."""
    if code in TITLES:
        return TITLES[code]
    tree: list[type[TacticsError]] = [TacticsError]
    for one in tree:
        if one.code == code and (one.__doc__ or "").strip():
            return str(one.__doc__).strip().splitlines()[0]
        tree.extend(one.__subclasses__())
    return _UNTITLED


async def answer(request: Request, error: TacticsError | Refused) -> Response:
    """Answer an error where no route did: in what stands before them."""
    return await (_refused if isinstance(error, Refused) else raised)(request, error)


async def _misformed(request: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    problems = [
        {"path": pointer("", *one["loc"][1:]), "code": "form", "message": one["msg"].removeprefix("Value error, ")}
        for one in found
    ]
    where = {str(one["loc"][0]) for one in found}
    detail = "; ".join(f"{one['path'] or '/'.join(sorted(where))}: {one['message']}" for one in problems[:3])
    return _problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "form", detail, problems)


async def failed(request: Request, _: Exception) -> Response:
    # Whoever operates this finds the traceback in its log, beside the request's id. What stands in the path of a
    # request may be a user's id, or a code that is as good as money: the log has the route's own path.
    route = getattr(request.scope.get("route"), "path", "")
    _LOG.error("request %s failed: %s %s", _request_id(request), request.method, route)
    return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "The log of the service says more.")


def _problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    problems: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Response:
    request_id = _request_id(request)
    body: dict[str, Any] = {
        **{name: value for name, value in (fields or {}).items() if isinstance(value, str | int | float | list)},
        "type": f"urn:tactics:problem:{code}",
        "title": title_of(code),
        "status": int(status),
        "detail": detail,
        "code": code,
    }
    if problems:
        body["problems"] = [{"path": "", "code": code, **one} for one in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        body["more_problems"] = len(problems) - MAX_PROBLEMS
    if request_id is not None:
        body["request_id"] = request_id
    # The handler of unforeseen errors stands outside of the middleware that returns the id.
    sent = {**(headers or {}), **({"X-Request-Id": request_id} if request_id is not None else {})}
    return Response(json.dumps(body), status, sent, media_type=MEDIA_TYPE)


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


_PROBLEM_PART = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "JSON Pointer (RFC 6901) into the body"},
        "code": {"type": "string"},
        "message": {"type": "string"},
        "severity": {"type": "string", "enum": ["error", "warning"]},
    },
    "required": ["path", "code", "message"],
}
_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        # No closed list: what is loaded later, plugins too, has errors of its own.
        "code": {
            "type": "string",
            "description": "says it for programs; they are listed in docs/reference/outcomes.md",
        },
        "problems": {"type": "array", "maxItems": MAX_PROBLEMS, "items": _PROBLEM_PART},
        "more_problems": {"type": "integer", "description": "how many are not listed"},
        "request_id": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_EXAMPLES: Mapping[int, tuple[str, str]] = {
    400: ("not_json", "the key 'rule' is given twice in one object"),
    401: ("unauthorized", "this needs an API key, sent as `Authorization: Bearer <key>`"),
    403: ("forbidden", "this needs a key with the scope activities:edit"),
    404: ("not_found", "there is no activity 'welcome'"),
    408: ("too_slow", "the body did not arrive within 30 s"),
    409: ("conflict", "activity 'welcome' is a draft: it does not run, so there is nothing to pause"),
    412: ("precondition_failed", "it was changed since you read it: read it again, and repeat your edit"),
    413: ("too_large", "the body has more than 2097152 bytes"),
    415: ("media_type", "a body of text/plain was sent"),
    422: ("form", "/facts: Input should be a valid dictionary"),
    429: ("rate_limited", "this key may ask 100 times a second"),
    503: ("database_down", "The log of the service says more."),
}


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for OpenAPI."""
    return {status: _described(status, *_EXAMPLES[status]) for status in statuses}


def _described(status: int, code: str, detail: str) -> dict[str, Any]:
    example = {
        "type": f"urn:tactics:problem:{code}",
        "title": TITLES[code],
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": "8c3f6f0f5f7c4b0a9a54a2c0f3f1d2e4",
    }
    return {"description": TITLES[code], "content": {MEDIA_TYPE: {"schema": _SCHEMA, "example": example}}}
