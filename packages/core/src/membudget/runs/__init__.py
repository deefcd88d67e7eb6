"""What the adapter of a test framework needs: a run, the phases of a test, kept captures."""
