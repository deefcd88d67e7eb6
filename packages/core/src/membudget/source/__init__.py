"""The user's source files: where limits are written in them, and how they are changed."""
