"""ASGI middlewares: what every request meets before its route."""
