"""Facts and decisions: what activities, events, grants and assets are. No I/O, no Celery, no SQL, no settings."""
