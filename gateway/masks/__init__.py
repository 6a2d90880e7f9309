"""From prompts on a picture to masks, and from masks to masks."""
