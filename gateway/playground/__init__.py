"""The playground: static pages that use the public API and nothing else."""
