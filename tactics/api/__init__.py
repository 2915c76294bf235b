"""HTTP: routers that an app is put together from. `tactics.api.app.create_rules_app` is the one of the rules service."""
