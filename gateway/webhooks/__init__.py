"""Tells the owners of jobs that they have ended."""
