"""The chaos suite: everything fails, all the time, and a checker that trusts nobody reads what came of it.

`python -m tests.chaos` (`make chaos`) runs seeds one after another. One seed:

    shape.py     how much: events, users, faults of each kind, seconds; `Shape().scaled(0.05)` is the short run
    plan.py      every fault of a seed, made up front from the seed alone, in the order of time
    scene.py     the activities
    servers.py   Postgres and Valkey of this run alone: stopped, killed, emptied, started again
    proxy.py     a process between everything and the two servers: cuts, stalls, swallows answers (control: JSON lines)
    zygote.py    a process that has imported everything, and forks `program.py`'s programs on demand
    program.py   what is forked: `tactics api`, a Celery worker, beat; the product's own entry points
    house.py     the supervisor: which processes there should be; starts again what died
    faults.py    carries the plan out
    load.py      the clients: producers and callers over HTTP, who try again as real ones do
    watching.py  triggers that write every change of a row beside it, in the same transaction
    history.py   what clients saw and what the database did, as JSON lines
    checker.py   reads these files and nothing else, and gives what does not hold; imports nothing of Tactics
    seed.py      puts one seed together: `run_seed(Shape(), seed, home) -> Result`

**Broken builds.** A build of Tactics that has one protection taken out; the checker has to catch each. They live in
`tests/chaos/broken.py`, which has

    BUILDS: Mapping[str, Build]
        `Build` has `why: str` (what is taken out), `shape: Mapping[str, Any]` (fields of `Shape` that differ from the
        short run's, for a run in which it shows) and `expected: frozenset[str]` (names of the checker's checks of which
        at least one has to find something).
    apply(name: str) -> None
        called in every forked process, after Tactics is imported and before anything is made of it, where the environment
        has TACTICS_CHAOS_BROKEN=name.
    prepare(name: str, connection: psycopg.Connection) -> None
        called once, with an autocommit connection to the migrated database, before any process starts: for what is to be
        taken out of the database (functions, CHECKs). The watching triggers exist by then.

A build is caught when one of its expected checks has findings: `broken_builds_caught` of the JSON counts those.

**Something else under the same chaos** (a plain Celery chain): a `System` (system.py) says which processes there are,
how the database is prepared, and how its clients ask; `run_seed(…, system=…)` does the rest.
"""
