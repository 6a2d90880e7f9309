"""What a job is, how its life is written, whose turn it is, who works."""
