"""TensorBoard shows the logs of our own environment, on a machine without a screen."""

import json
import urllib.request

from tensorboard import program
from torch.utils.tensorboard import SummaryWriter


def test_tensorboard_starts_and_finds_the_run(tmp_path):
    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("student/return", 1.0, 0)
    board = program.TensorBoard()  # with every plugin that is installed
    board.configure(argv=["tensorboard", "--logdir", str(tmp_path), "--port", "0", "--host", "127.0.0.1"])
    url = board.launch()
    with urllib.request.urlopen(f"{url}data/environment", timeout=600) as answer:
        assert str(tmp_path) in json.load(answer)["data_location"]
