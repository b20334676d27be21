"""Bytes in a picture: what is around them, and where they lie."""
