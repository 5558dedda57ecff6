"""Output artifacts: where they are, how to open them, how to unpack them."""
