"""The word `command=`: one command, or a file of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from legged_cts.viewer.script import check_ranges, read_command

RANGES = {"lin_vel_x": (-1.0, 1.0), "lin_vel_y": (0.2, 0.5), "ang_vel_z": (-1.0, 1.0)}


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "walk.csv"
    path.write_text(text)
    return str(path)


def test_three_numbers_are_one_command() -> None:
    (part,) = read_command("0.5,-0.1, 1e-1")
    assert part.command == (0.5, -0.1, 0.1)


def test_rows_hold_for_their_seconds(tmp_path: Path) -> None:
    text = "seconds,vx,vy,yaw\n2,0.5,0,0\n\n# a turn\n 1.5, 0, 0, -0.8  # to the right\n"
    first, second = read_command(write(tmp_path, text))
    assert (first.name, first.share, first.command) == ("line 2", 2.0, (0.5, 0.0, 0.0))
    assert (second.name, second.share, second.command) == ("line 5", 1.5, (0.0, 0.0, -0.8))


def test_a_table_of_a_spreadsheet_is_read_and_an_endless_cell_is_one_line(tmp_path: Path) -> None:
    (part,) = read_command(write(tmp_path, "\ufeffseconds,vx,vy,yaw\n2,0.5,0,0\n"))
    assert part.command == (0.5, 0.0, 0.0)
    with pytest.raises(ValueError, match="line 2: field larger than"):
        read_command(write(tmp_path, "seconds,vx,vy,yaw\n" + "1" * 200_000 + ",0,0,0\n"))


@pytest.mark.parametrize("word", ["", "0.5", "0.5,0", "0.5,0,0,0", "a,b,c", "nan,0,0", "inf,0,0", "walk.txt"])
def test_what_is_no_command_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match=r"command: expected v_x,v_y,yaw as in command=0\.5,0,0"):
        read_command(word)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2,0.5,0\n", "line 1: expected seconds,vx,vy,yaw, got '2,0.5,0'"),
        ("2,0.5,0,0\n0,0.5,0,0\n", "line 2: expected"),
        ("-1,0.5,0,0\n", "line 1: expected"),
        ("2,0.5,nan,0\n", "line 1: expected"),
        ("2,0.5,0,0\nseconds,vx,vy,yaw\n", "line 2: expected"),
        ('"2,0.5,0,0\n', "line 1: expected"),
        ("# nothing\n", "has no rows"),
        ("4000,0,0,0\n", "takes 4000 s, 3600 at most"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_command(write(tmp_path, text))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="command: there is no file"):
        read_command(str(tmp_path / "none.csv"))
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no text"):
        read_command(str(tmp_path / "binary.csv"))
    (tmp_path / "large.csv").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_command(str(tmp_path / "large.csv"))


def test_commands_outside_of_the_ranges_are_named(tmp_path: Path) -> None:
    check_ranges(read_command("1,0,-1"), RANGES)  # standing is always allowed
    with pytest.raises(ValueError, match=r"command: v_x 1\.5 is outside of the policy's -1 to 1"):
        check_ranges(read_command("1.5,0,0"), RANGES)
    script = read_command(write(tmp_path, "1,0,0,0\n1,0,-0.3,0\n"))
    with pytest.raises(ValueError, match=r"command: v_y -0\.3 \(line 2\) is outside of the policy's 0 to 0\.5"):
        check_ranges(script, RANGES)
