"""What is sent or done, one way per file."""
