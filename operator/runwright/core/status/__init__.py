"""The status of a run: mirrored fields, conditions, patches."""
