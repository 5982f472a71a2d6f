"""Layouts and files of other tools, turned into ours at the door."""
