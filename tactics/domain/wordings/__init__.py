"""The words that come with Tactics, a module for each language. Importing one makes its words known."""

from tactics.domain.wordings import en, zh

__all__ = ["en", "zh"]
