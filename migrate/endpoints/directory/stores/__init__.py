"""One module a kind: its objects in an export directory, found, read and written."""
