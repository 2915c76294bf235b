"""The steps that come with Tactics: one a file, one a Celery task. They know neither each other nor any template."""
