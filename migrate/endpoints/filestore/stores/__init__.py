"""The kinds of objects that a file store has, one module a kind."""
