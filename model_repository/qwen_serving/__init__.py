"""What the Qwen models of this repository share; on the path of every `model.py`."""
