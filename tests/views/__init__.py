"""Views render values, so these tests need no server: text of a fixed width, and JSON."""
