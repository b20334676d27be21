"""Pictures in and out: a person's files, datasets, pairs, and what happens on the way."""
