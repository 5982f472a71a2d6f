"""What the tasks rewrite, mark and compare, without servers."""
