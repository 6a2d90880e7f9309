"""`retouch`, command by command."""
