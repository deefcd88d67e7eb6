"""Finds limits in the user's source files, and changes them."""
