"""Who can see it: detectors that tell stego images from covers, and how sure they are."""
