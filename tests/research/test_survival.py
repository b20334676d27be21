import pytest

from steglib.research.survival import survived_damage


def test_more_parity_survives_more():
    table = survived_damage((48, 48), trials=2)
    assert list(table.index) == ["low", "medium", "high"]
    assert list(table.columns) == ["run", "square", "scattered"]
    assert (table.diff().iloc[1:] > 0).all(axis=None)
    assert (table["scattered"] < table["square"]).all()


@pytest.mark.slow
def test_runs_survive_up_to_what_parity_can_mend():
    table = survived_damage((96, 96), trials=3)
    assert (table["run"] < [100 / 16, 100 / 8, 100 / 4]).all() and (table["run"] > 2).all()
