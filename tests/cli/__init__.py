"""The ``migrate`` command as its users meet it."""
