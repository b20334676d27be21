"""For those who measure and train: commands, speed, races, cards."""
