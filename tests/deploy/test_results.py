import math
from pathlib import Path

import pytest

from legged_cts.deploy.results import write_json, write_table


def test_a_table_has_all_columns_and_numbers_that_can_be_joined_with_those_of_others(tmp_path: Path) -> None:
    rows = [{"a": 0.0, "b": "x, y", "n": 3}, {"a": 0.123456789, "c": None}, {"a": math.nan, "b": True, "c": 1e-9}]
    write_table(tmp_path / "new" / "t.csv", rows)
    lines = (tmp_path / "new" / "t.csv").read_bytes().decode().splitlines()
    assert lines == ["a,b,n,c", '0.0,"x, y",3,', "0.123457,,,", ",True,,1e-09"]


def test_json_has_no_number_that_is_not_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"a": [1.5, None]})
    assert (tmp_path / "new" / "a.json").read_text() == '{\n "a": [\n  1.5,\n  null\n ]\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "b.json", {"a": math.inf})
