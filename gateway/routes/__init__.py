"""The HTTP surface, a file per subject."""
