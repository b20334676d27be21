"""For a person with photos: commands and the page to play on."""
