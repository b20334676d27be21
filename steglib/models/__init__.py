"""The hiders: networks, a codec with a channel, baselines."""
