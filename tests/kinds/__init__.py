"""A kind that is known to the tests only, and what any store has to do."""
