"""The files that list what an export holds: other tools import by them."""
