"""Other serving frameworks with the same network and the same image work, for comparison."""
