"""What a database has, by kinds: which rows make an object."""
