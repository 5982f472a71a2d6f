"""Listings and histories that come out whole where a server answers with a part, or fails."""
