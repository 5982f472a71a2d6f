"""The six commands that export and import in bulk."""
