"""The plays that come with Tactics."""
