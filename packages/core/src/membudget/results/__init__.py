"""Results as data: what crosses a process, and what is kept in files."""
