"""The learned codec: a photo as at most so many bytes, and back."""
