"""Outer systems behind ports: items, users, assets."""
