"""A shop, whose tests the pictures in this directory show."""
