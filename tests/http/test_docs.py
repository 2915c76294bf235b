"""The API's own page: whoever opens it loads nothing from elsewhere, and needs no key."""

from __future__ import annotations

import re
from typing import Any

from tactics.api.routes.docs import FOLDER
from tests.driving import Drive


def test_the_page_is_served_whole_from_here(live: Drive, api_of: Any) -> None:
    """Page, script and style come from this process, with a policy that lets in nothing else; a stranger may read them, and no other file."""
    api = api_of(live, base_url="http://tactics.example", client=("203.0.113.7", 50_000))
    page = api.get("/docs")
    assert page.status_code == 200
    policy = dict(one.strip().split(" ", 1) for one in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in page.headers["Content-Security-Policy"]
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith(f"{FOLDER}/")
        loaded = api.get(address)
        assert loaded.status_code == 200
        assert loaded.headers["X-Content-Type-Options"] == "nosniff"
        kind = {"js": "text/javascript", "css": "text/css", "png": "image/png"}[address.rpartition(".")[2]]
        assert loaded.headers["Content-Type"].startswith(kind)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", page.text)
    assert 'url: "/openapi.json"' in api.get(f"{FOLDER}/start.js").text
    assert "SwaggerUIBundle" in api.get(f"{FOLDER}/swagger-ui-bundle.js").text
    assert api.get("/openapi.json").json()["info"]["title"] == "Tactics"
    for name in ("redoc.standalone.js", "..%2Fcore.py", "%2Fetc%2Fpasswd", "x"):
        assert api.get(f"{FOLDER}/{name}").status_code in {404, 422}
