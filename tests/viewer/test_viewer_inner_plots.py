"""Terms of the reward and latents, as the page shows them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import viser

from legged_cts.viewer.inner_plots import InnerPlots, bars
from legged_cts.viewer.session import Insight


@pytest.fixture(scope="module")
def server() -> Iterator[viser.ViserServer]:
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def plots_of(server: viser.ViserServer, insight: Insight) -> InnerPlots:
    return InnerPlots(server, server.gui.add_panel().add_tab, insight, 40, (-2.0, 0.0))


def test_the_sum_of_the_terms_and_the_distance_of_the_latents_are_drawn(server: viser.ViserServer) -> None:
    latents = {"student": np.array([1.0, 0.0]), "teacher": np.array([1.0, 3.0])}
    insight = Insight({"track": 1.5, "torque": -0.25}, latents)
    plots = plots_of(server, insight)
    for _ in range(30):
        plots.take(insight)
    plots.draw(20)
    np.testing.assert_allclose(plots._curve.handle.data[1], 1.25)
    distance, teacher, student = (chart.handle for chart in plots._charts)
    np.testing.assert_allclose(distance.data[1], 3.0)
    assert [line[-1] for line in teacher.data[1:]] == [1.0, 3.0]
    assert [line[-1] for line in student.data[1:]] == [1.0, 0.0]
    assert "+1.500" in plots._bars.content and "-0.250" in plots._bars.content


def test_without_comparable_latents_there_is_no_distance(server: viser.ViserServer) -> None:
    assert plots_of(server, Insight({"track": 1.0}, {}))._charts == []
    only = plots_of(server, Insight({"track": 1.0}, {"student": np.zeros(3)}))
    other = plots_of(server, Insight({"track": 1.0}, {"student": np.zeros(3), "teacher": np.zeros(4)}))
    assert [len(plots._charts) for plots in (only, other)] == [1, 2]


def test_bars_are_in_order_and_names_are_no_html() -> None:
    drawn = bars({"small": 0.1, "<b>big": -2.0, "none": 0.0})
    assert drawn.index("&lt;b&gt;big") < drawn.index("small") < drawn.index("none")
    assert "<b>" not in drawn
    assert "width:50.0%" in drawn and "width:2.5%" in drawn
