"""The decisions of Runwright: pure functions over what was read. No I/O, no clock, no client."""
