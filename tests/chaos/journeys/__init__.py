"""The ways into Tactics that can die anywhere: how each is arranged, what dies, who comes again, and what must hold then.

journey.py   what a journey is, and the scene on which all are played
local.py     events, placements, assets, sweeping, retries: what needs nobody else
outside.py   grants of outside benefit systems
telling.py   notices to webhooks
    listener.py  their receiver
    book.py      such a system, whose book outlives whoever called
"""
