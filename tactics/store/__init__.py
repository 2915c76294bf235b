"""Postgres and Redis as plain functions: they take a connection, and never commit."""
