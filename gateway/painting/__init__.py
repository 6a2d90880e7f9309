"""How a job becomes a picture, and goes on after a restart."""
