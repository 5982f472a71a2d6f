"""Files past the server: straight from or to its storage, through URLs that it signs."""
