"""The page: what it holds, that a stranger's run is text in it, how large it is, and what a browser shows of it."""

import base64
import gzip
import json
import re
import shutil
from pathlib import Path

import pytest
from run_files import every_metric, write_rows, write_run

from legged_cts.evaluation.page import page_html, write_page
from legged_cts.evaluation.training_log import TrainingLog, read_logs
from legged_cts.training.panels import PAGES

EVIL = "</script><script>document.title='stolen'</script><img src=x onerror=\"document.title='stolen'\">"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def content_of(page: str) -> dict:
    """What the page's script draws."""
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', page)[1])


def test_panels_lines_and_numbers_are_those_of_the_run():
    rows = [{"iteration": float(i), "total_steps": 500_000.0 * i, "train_time_s": 30.0 * i, "student/falls": 1 / i}
            for i in (1, 2, 3)]  # fmt: skip
    content = content_of(page_html([TrainingLog("run", rows, {}, 1_000_000)]))
    (((panel,),), (run,)) = content["pages"], content["runs"]
    assert panel["title"] == "falls" and panel["lines"] == [
        {"metric": "student/falls", "label": "student", "color": "#1f77b4"}
    ]
    assert run["values"] == {"student/falls": [1.0, 0.5, 0.333333]}
    assert run["axes"] == {"steps": [1.5, 2.0, 2.5], "iteration": [1.0, 2.0, 3.0], "minutes": [0.5, 1.0, 1.5]}


def test_gaps_stages_and_the_newest_row_are_kept_where_rows_are_left_out():
    rows = [{"iteration": float(i), "stage": float(i > 3000)} for i in range(1, 5001)]
    rows[-1]["student/return"] = 7.0
    (run,) = content_of(page_html([TrainingLog("run", rows, {"stages": {"walks": {}}})]))["runs"]
    assert len(run["axes"]["iteration"]) == 1667 and run["axes"]["iteration"][-1] == 5000.0
    assert run["values"]["student/return"][-2:] == [None, 7.0]
    assert run["stages"] == [["walks", 3001.0, 3001.0, None]]


def test_the_card_says_how_far_a_run_is_and_what_is_wrong(tmp_path):
    run = write_run(tmp_path / "run", latent__dimension_student=1.0, faults__nan_resets=2.0, stage=1.0)
    (run / "config.yaml").write_text("robot: go2\nmax_iterations: 600\nstages:\n  walks: {when: {}}\n")
    page = page_html(read_logs([run]))
    for part in (
        "iteration 60 of 600", '<progress max="600" value="60">', "robot go2", "stage walks from iteration 1 on",
        "iteration 50: the latent of the students has collapsed", "faults since the start: nan resets 2",
    ):  # fmt: skip
        assert part in page
    assert "no warnings, no faults" in page_html([TrainingLog("x", [])])


def test_every_panel_is_on_its_page():
    content = content_of(page_html([TrainingLog("run", every_metric())]))
    assert [[panel["title"] for panel in page] for page in content["pages"]] == [
        [panel.title for panel in page] for page in PAGES.values()
    ]


def test_a_strangers_run_is_text_in_the_page(tmp_path):
    rows = [{"iteration": 1.0, f"student/reward/{EVIL}": 0.5, f"faults/{EVIL}": 1.0, "stage": 1.0}]
    page = page_html([TrainingLog(EVIL, rows, {"robot": EVIL, "stages": {EVIL: {}}})])
    assert "<script>document" not in page and "<img" not in page
    assert [line["label"] for line in content_of(page)["pages"][0][0]["lines"]]
    # Every script of ours carries the word without which none may run; the others are data.
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", page)[1]
    assert re.findall(r"<script([^>]*)>", page) == [
        ' type="application/json" id="content"', ' type="application/gzip" id="plotly"', f' nonce="{nonce}"'
    ]  # fmt: skip
    assert "default-src 'none'" in page and nonce not in page_html([])


def test_nothing_is_loaded_from_elsewhere_and_plotly_is_whole():
    page = page_html([TrainingLog("run", [{"iteration": 1.0, "student/return": 1.0}])])
    packed = re.search(r'id="plotly">([^<]*)</script>', page)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode().lstrip().startswith("/**\n* plotly.js v")
    outside = page.replace(packed, "")
    assert not re.search(r'(?:src|href)="(?!#)|url\(|@import|https?:', outside)


def test_two_thousand_iterations_with_more_metrics_than_any_training_has_fit_into_five_megabytes(tmp_path):
    names = [f"student/reward/term_{i}" for i in range(120)]
    rows = [{name: 1e-5 * (i * 7919 % 99991) for name in names} for i in range(2000)]
    for runs in (1, 4):
        logs = read_logs([write_rows(tmp_path / f"{runs}" / f"{i}", rows) for i in range(runs)])
        write_page(logs, tmp_path / "page.html")
        assert 1e6 < (tmp_path / "page.html").stat().st_size < 5e6


@pytest.fixture(scope="module")
def browser():
    """A browser without a network."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser was found: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as running:
        instance = running.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield instance
        instance.close()


def opened(browser, path: Path, width: int = 1280):
    """The page, opened from disk; what it asks for and what goes wrong in it are kept."""
    context = browser.new_context(viewport={"width": width, "height": 800}, offline=True)
    page = context.new_page()
    page.problems, page.requests = [], []
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".js-plotly-plot .main-svg", timeout=120_000)
    return page


@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_it_from_disk_without_a_network(browser, tmp_path, width):
    terms = {"student/reward/alive": 0.02, "student/reward/power": -0.01}
    rows = [
        {"student/return": i, "teacher/return": 2 * i, "stage": int(i > 30), "train_time_s": 60 * i, **terms}
        for i in range(60)
    ]
    runs = [write_rows(tmp_path / name, rows) for name in ("a", "b")]
    write_page(read_logs(runs[:1]), tmp_path / "one.html")
    page = opened(browser, tmp_path / "one.html", width)
    assert page.problems == [] and page.requests == [(tmp_path / "one.html").as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    drawn = "document.querySelector('.js-plotly-plot')"
    assert page.evaluate(f"{drawn}.data.filter(t => t.showlegend).map(t => [t.name, t.line.color, t.y.length])") == [
        ["student", "#1f77b4", 60], ["teacher", "#ff7f0e", 60]
    ]  # fmt: skip
    assert page.evaluate(f"{drawn}.layout.annotations.map(a => [a.text, a.x])") == [["stage 1", 0.196608]]
    page.select_option("#axis", "minutes")
    assert page.evaluate(f"[{drawn}.data[0].x.at(-1), {drawn}.layout.annotations[0].x]") == [59.0, 31.0]
    page.locator("figure", has_text="reward by term").locator(".main-svg").first.wait_for()
    stacks = "[...document.querySelectorAll('.js-plotly-plot')].find(p => p.data[0].stackgroup).data"
    assert page.evaluate(f"{stacks}.map(t => [t.name, t.stackgroup])") == [["alive", "gained"], ["power", "lost"]]
    page.reload()  # as it does by itself
    page.wait_for_selector(".js-plotly-plot .main-svg")
    assert page.evaluate("document.getElementById('axis').value") == "minutes"
    page.context.close()

    write_page(read_logs(runs), tmp_path / "two.html")
    page = opened(browser, tmp_path / "two.html", width)
    dashes = f"{drawn}.data.filter(t => t.hoverinfo !== 'skip').map(t => t.line.dash)"
    assert page.evaluate(dashes) == ["solid", "dash"] * 2
    page.uncheck("input[data-run='0']")
    assert page.evaluate(dashes) == ["dash"] * 2
    page.context.close()


def test_no_script_of_a_strangers_run_is_run(browser, tmp_path):
    rows = [{"iteration": float(i), f"student/reward/{EVIL}": 0.5, "stage": 1.0} for i in range(1, 4)]
    write_page([TrainingLog(EVIL, rows, {"robot": EVIL, "stages": {EVIL: {}}})], tmp_path / "evil.html")
    page = opened(browser, tmp_path / "evil.html")
    assert page.title() == EVIL and page.requests == [(tmp_path / "evil.html").as_uri()]
    page.context.close()
