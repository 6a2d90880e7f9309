"""How a process of the gateway is set: its event loop, its interpreter, its threads."""
