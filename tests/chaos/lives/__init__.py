"""Any life of a grant, against paper: a hypothesis state machine over the whole engine.

    paper.py     the model: what the same story comes to, in plain Python, without a line of the engine's
    outside.py   an outside benefit system by script, in this process
    scene.py     one example's activity in the real engine: visits, assets, stock, settling, crashes
    choices.py   what is chosen from
    machine.py   the state machine: what befalls grants, and what must hold after every step
    running.py   `run_machine(drive, examples=…)`; `python -m tests.chaos.lives --examples 10000` for several processes

A step is a visit, the same request again, a visit that breaks before or after its commit, an asset that changes or is
told of late, time that passes, Redis emptied, stock moved, an attempt at settling that is current, late, doubled or
overtaken, a benefit system that forgets or comes to its end.
"""
