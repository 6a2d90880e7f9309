"""API keys: who may call, how much, and whose a job or picture is."""
