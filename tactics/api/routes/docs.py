"""`/docs`: the API for people, to read and to try. Everything comes from this process: nothing is loaded from elsewhere.

Swagger UI's files are those of the package fastapi-offline.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import FileResponse, HTMLResponse

FOLDER = "/static-offline-docs"
router = APIRouter(include_in_schema=False)

# No script, style or picture of anybody else's, nothing inline; and it talks to this API alone.
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_KEPT = {"Cache-Control": "public, max-age=3600", "X-Content-Type-Options": "nosniff"}
_KINDS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
_PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tactics API</title>
<link rel="icon" type="image/png" href="{FOLDER}/favicon.png">
<link rel="stylesheet" href="{FOLDER}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{FOLDER}/swagger-ui-bundle.js"></script>
<script src="{FOLDER}/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  displayRequestDuration: true,
  tryItOutEnabled: false,
  validatorUrl: null
});
"""


@router.get("/docs")
async def show() -> Response:
    """Give the page."""
    return HTMLResponse(_PAGE, headers=_POLICY)


@router.get(f"{FOLDER}/start.js")
async def start() -> Response:
    """Give the page's own script: a policy that allows none inline wants it in a file."""
    return Response(_START, media_type="text/javascript", headers=_KEPT)


@router.get(f"{FOLDER}/{{name}}")
async def file(name: Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]) -> Response:
    """Give one of Swagger UI's files."""
    return FileResponse(_found(name), media_type=_KINDS[name], headers=_KEPT)


def _found(name: str) -> Path:
    return Path(str(files("fastapi_offline").joinpath("static", name)))
