"""The REST routes that ask an endpoint."""
