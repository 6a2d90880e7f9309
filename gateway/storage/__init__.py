"""Where pictures are kept, for how long, and how they are taken in."""
