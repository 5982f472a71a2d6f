"""Migrations that are killed, interrupted, lied to and repeated, between real servers."""
