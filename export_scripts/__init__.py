"""From weights to a verified model repository."""
