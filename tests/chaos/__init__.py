"""The chaos suite: everything fails, all the time, and a checker that trusts nobody reads what came of it.

`python -m tests.chaos` (`make chaos`) runs its parts one after another (parts.py, `--only PART`): broken builds, seeds,
a death at each boundary (test_failpoints.py), lives of grants against paper (lives/); figures.py keeps what came of each.
One seed:

    shape.py     how much: events, users, faults of each kind, seconds; `Shape().scaled(0.05)` is the short run
    plan.py      every fault of a seed, made up front from the seed alone, in the order of time
    scene.py     the activities
    servers.py   Postgres and Valkey of this run alone: stopped, killed, emptied, started again
    proxy.py     a process between everything and the two servers: cuts, stalls, swallows answers (control: JSON lines)
    zygote.py    a process that has imported everything, and forks `program.py`'s programs on demand
    program.py   what is forked: `tactics api`, a Celery worker, beat; the product's own entry points
    house.py     the supervisor: which processes there should be; starts again what died
    pace.py      the clock of a run: it stands still while too much waits, so that a slow machine only takes longer
    faults.py    carries the plan out
    load.py      the clients: producers and callers over HTTP, who try again as real ones do
    history.py   what clients saw and what the database did, as JSON lines: triggers write every change beside its row
    checker.py   reads these files and nothing else, and gives what does not hold; imports nothing of Tactics (checks_*.py)
    hearing.py   a receiver of webhooks that writes down what it is told
    playing.py   load and faults side by side, by one clock
    system.py    what is under chaos: Tactics' schema, set-up and processes
    seed.py      puts one seed together: `run_seed(Shape(), seed, home) -> Result`

**Broken builds** (broken.py, catching.py): builds of Tactics that have one protection taken out; the checker has to catch
each by a check that is about it. `TACTICS_CHAOS_BROKEN=name` reaches every forked process, where `broken.apply(name)` is
called before anything is made of Tactics; `broken.prepare(name, connection)` changes the migrated database before any
process starts. They are run once, and the product as it is in the same runs; `broken_builds_caught` of the JSON names those
that were caught, at each of the seeds: it is the same checker.

**Replaying.** Plan and load are a seed's alone: `python -m tests.chaos --seed 3 --plan` prints the faults, `--seed 3 --keep
FOLDER` runs them again and keeps logs and histories. What the machine makes of them, which process is hit in the middle of
what, is not the seed's: the histories of a failed run are kept.

**Something else under the same chaos** is plain/: it has its own `program`, prepares its own database, and uses plan,
faults, clients and servers of this suite.
"""
