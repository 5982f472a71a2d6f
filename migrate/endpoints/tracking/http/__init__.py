"""Calls to one server: connections, limits, tries, and what is answered in its place."""
