"""The producer needs httpx, and nothing else."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        first, _, rest = name.partition(".")
        if first in {
            "celery", "kombu", "sqlalchemy", "redis", "psycopg", "pydantic", "pydantic_core", "fastapi", "starlette",
            "msgspec", "structlog", "uvicorn", "yaml", "typer", "jsonschema", "alembic",
        } or (first == "tactics" and rest and rest.partition(".")[0] != "producer"):
            raise ModuleNotFoundError(f"{name} is not there", name=name)

sys.meta_path.insert(0, Missing())
import httpx
from tactics.producer import Producer, action

def answer(request):
    assert request.url == "http://tactics/under/v1/events"
    return httpx.Response(202, json={"source": "shop", "id": "1", "status": "accepted"})

with Producer("http://tactics/under/", source="shop", transport=httpx.MockTransport(answer)) as producer:
    print(producer.send(action(user_id="ann", action="purchase", id="1")).status)
print(sorted(name for name in sys.modules if name.startswith("tactics.") and "producer" not in name))
"""


def test_it_works_where_only_httpx_is_installed() -> None:
    """With everything else of the server missing, it is imported, sends and gets its receipt."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "accepted\n[]\n", done.stderr
