"""Tests of the endpoints; those of the directory need no server."""
