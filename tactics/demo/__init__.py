"""The demo: real shopping data, the Complete Journey, replayed through the whole engine.

Nothing outside this package knows the data set. The modules, in the order in which they are used: `data` reads it, `choice`
picks what to replay, `documents` and `catalogue` say it in the engine's own words, `stream` orders it in time, `plan` puts
it all together. `session` runs a demo: `replay` sends and visits, with a `barrier` between rounds, a `ledger` of what was
acknowledged and `wallet`s of what was granted; `summary` adds it up, and `show` tells a person.
"""
