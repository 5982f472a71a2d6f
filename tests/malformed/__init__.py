"""Whole migrations of which one thing is malformed: an answer, a file, a cell of the state."""
