"""Tactics: an event-driven marketing engine."""
