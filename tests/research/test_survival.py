from steglib.research import survival


def test_survived_damage():
    """In all trials: so the least that the format promises, and never more than its parity."""
    table = survival.survived_damage((96, 96), trials=3)
    assert list(table.index) == ["low", "medium", "high"]
    assert list(table.columns) == ["run", "square", "scattered"]
    assert (table.diff().iloc[1:] > 0).all(axis=None)  # more parity, more survives
    assert (table["scattered"] < table["square"]).all()
    assert (table["run"] < [100 / 16, 100 / 8, 100 / 4]).all() and (table["run"] > 2).all()
