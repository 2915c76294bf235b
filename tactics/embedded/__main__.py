"""The guardian's own process: `python -m tactics.embedded HOME OWNER_PID keep|remove`; `running` starts it."""

import sys
from pathlib import Path

from tactics.embedded.guardian import guard

if __name__ == "__main__":
    guard(Path(sys.argv[1]), int(sys.argv[2]), remove=sys.argv[3] == "remove")
