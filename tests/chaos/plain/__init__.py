"""The same load and the same faults on a plain Celery chain: what a good engineer writes in a day, to compare with.

What it has: a chain prepare → check → grant, late acknowledgement, redelivery of what a lost worker held, retries of
every task with exponential backoff and jitter, JSON messages, prefetch of one, time limits, timeouts and health checks
towards the broker, connections that are tested before use; a stock that is taken by one conditional UPDATE in the
transaction that writes the grant; one grant for each activity and user, looked up in that transaction and held by a
unique index; an outside
benefit system that is called after the reservation has committed, with the task's id as the idempotency key, so that a
retry or a redelivery repeats the same call; a definite refusal that gives the stock back; producers that are answered
202 only once the broker has taken the message, and 503 where it has not.

What it lacks, and Tactics has: an inbox (an event is accepted when it is in Redis, not when it is in Postgres), a
sweeper (what Redis lost, nobody starts again), an answer within the request (a visitor is told that it was taken), more
than one grant for a user, and settlement by its own state (a task that is lost, or whose retries are spent, leaves what
it reserved, and nobody asks the benefit system what became of the call).

    app.py       the Celery app, its tables and its tasks
    entry.py     what producers and callers ask, over HTTP
    program.py   what is forked: the entry, and the worker
    checks.py    reads what clients saw, the tables and the benefit system's own log, and counts
    running.py   runs a seed: `run_plain(Shape(), seed, home)`; `python -m tests.chaos.plain`
"""
