"""What is started to be measured, and what it is compared with."""
