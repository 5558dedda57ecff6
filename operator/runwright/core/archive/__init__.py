"""Archiving: storage states, snapshots, and the format of exports."""
