"""What a comparison finds, on real servers."""
