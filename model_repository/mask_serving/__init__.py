"""What the mask models (`fastsam`, `clip_text`, `clip_image`) share inside Triton."""
