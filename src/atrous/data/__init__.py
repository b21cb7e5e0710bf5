"""Data sets as sources of samples, and what is done to samples before a network sees them."""
