"use strict";
(async () => {
  // Only scripts with the page's own word may run; after an await it cannot be asked for any more.
  const nonce = document.currentScript.nonce;
  const content = JSON.parse(document.getElementById("content").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const axis = document.getElementById("axis"), mean = document.getElementById("smooth");
  const TITLES = { steps: "env steps [million]", iteration: "iteration", minutes: "minutes of training" };

  // What was chosen outlives the page, which may load itself anew. A file from disk may have no storage.
  const KEY = "legged_cts:" + location.pathname;
  const stored = (() => { try { return JSON.parse(sessionStorage.getItem(KEY)) || {}; } catch { return {}; } })();
  const store = () => {
    const hidden = content.runs.map((_, i) => i).filter((i) => !shown(i)).map((i) => content.runs[i].name);
    const state = { axis: axis.value, smooth: mean.value, hidden, scroll: scrollY };
    try { sessionStorage.setItem(KEY, JSON.stringify(state)); } catch { /* then it is forgotten */ }
  };
  const boxes = [...document.querySelectorAll("input[data-run]")];
  const shown = (i) => boxes.length === 0 || boxes[i].checked;
  axis.value = TITLES[stored.axis] ? stored.axis : "steps";
  mean.value = stored.smooth || String(content.smoothing);
  boxes.forEach((box, i) => { box.checked = !(stored.hidden || []).includes(content.runs[i].name); });

  // Plotly reads its texts as a kind of HTML.
  const plain = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

  // Centred mean over a share of the rows; rows without a number are left out of it.
  function smooth(values, share) {
    const half = Math.floor((values.length * share) / 2);
    if (half < 1) return values;
    const sums = [0], counts = [0];
    values.forEach((v, i) => { sums.push(sums[i] + (v ?? 0)); counts.push(counts[i] + (v === null ? 0 : 1)); });
    return values.map((value, i) => {
      const low = Math.max(i - half, 0), high = Math.min(i + half + 1, values.length);
      return value === null ? null : (sums[high] - sums[low]) / (counts[high] - counts[low]);
    });
  }

  function traces(panel) {
    const runs = content.runs.filter((_, i) => shown(i));
    const result = [];
    const several = content.runs.length > 1;
    if (panel.stacked && !several) {
      const run = runs[0], x = run.axes[axis.value];
      const parts = panel.lines.map((line) => {
        const y = smooth(run.values[line.metric].map((v) => v ?? 0), Number(mean.value));
        return { line, y, mean: y.reduce((a, b) => a + b, 0) / Math.max(y.length, 1) };
      }).filter((part) => part.mean !== 0).sort((a, b) => Math.abs(b.mean) - Math.abs(a.mean));
      for (const { line, y, mean: m } of parts) {
        result.push({ x, y, name: plain(line.label), stackgroup: m > 0 ? "gained" : "lost", mode: "lines",
          line: { color: line.color, width: 0.5 }, fillcolor: line.color + "cc", hoverinfo: "x+y+name" });
      }
      return result;
    }
    for (const line of panel.lines) {
      let first = true;
      for (const run of runs) {
        const x = run.axes[axis.value], raw = run.values[line.metric];
        if (!raw.some((v) => v !== null)) continue;
        const color = dark.matches && line.color === "#000000" ? "#dddddd" : line.color;
        const y = smooth(raw, Number(mean.value));
        if (y !== raw && !panel.stacked) {
          result.push({ x, y: raw, mode: "lines", line: { color, width: 1 }, opacity: 0.25, hoverinfo: "skip",
            showlegend: false, legendgroup: line.metric });
        }
        const name = plain(several ? `${line.label}, ${run.name}` : line.label);
        // One entry of the legend for all runs, whose lines the cards show.
        result.push({ x, y, name: first ? plain(line.label) : name, mode: "lines", legendgroup: line.metric,
          line: { color, width: 2, dash: run.dash }, connectgaps: true, showlegend: first,
          hovertemplate: `%{y:.4~g} ${name}<extra></extra>` });
        first = false;
      }
    }
    return result;
  }

  // The panel's limits cut what can be seen; what raises an alarm can be seen, shaded.
  function range(panel, data) {
    const seen = data.filter((t) => t.hoverinfo !== "skip").flatMap((t) => t.y).filter((v) => v !== null);
    if (panel.log || panel.stacked || seen.length === 0) return null;
    let low = seen.reduce((a, b) => Math.min(a, b)), high = seen.reduce((a, b) => Math.max(a, b));
    const [least, most] = panel.limits;
    if (least !== null) low = least === 0 ? 0 : Math.max(low, least);
    if (most !== null) high = Math.min(high, most);
    if (panel.below !== null) low = Math.min(low, panel.below - 0.1 * Math.abs(high - panel.below));
    if (panel.above !== null) high = Math.max(high, panel.above + 0.2 * (panel.above - low));
    if (!(high > low)) return least === 0 ? [0, Math.max(high, 0) || 1] : null;
    const edge = 0.05 * (high - low);
    return [least === 0 && low === 0 ? 0 : low - edge, high + edge];
  }

  function decades(data) {
    const seen = data.flatMap((t) => t.y).filter((v) => v > 0).map(Math.log10);
    return seen.reduce((a, b) => Math.max(a, b), -Infinity) - seen.reduce((a, b) => Math.min(a, b), Infinity);
  }

  function layout(panel, data) {
    const ink = dark.matches ? "#c5cbd5" : "#475467", grid = dark.matches ? "#323842" : "#e8ebf0";
    const bounds = range(panel, data), shapes = [];
    const band = (y0, y1) => shapes.push({ type: "rect", xref: "paper", x0: 0, x1: 1, y0, y1, layer: "below",
      fillcolor: "#d62728", opacity: 0.12, line: { width: 0 } });
    if (bounds && panel.below !== null) band(bounds[0], panel.below);
    if (bounds && panel.above !== null) band(panel.above, bounds[1]);
    const annotations = [];
    content.runs.forEach((run, i) => {
      if (!shown(i)) return;
      run.stages.forEach(([name, ...places]) => {
        const x = places[Object.keys(TITLES).indexOf(axis.value)];
        shapes.push({ type: "line", yref: "paper", x0: x, x1: x, y0: 0, y1: 1,
          line: { color: ink, width: 1, dash: run.dash === "solid" ? "dot" : run.dash } });
        annotations.push({ x, yref: "paper", y: 1, yanchor: "top", xanchor: "left", text: plain(name),
          textangle: 90, showarrow: false, font: { size: 9, color: ink } });
      });
    });
    const line = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
    const many = new Set(data.map((t) => t.legendgroup ?? t.name)).size;
    return {
      margin: { l: 48, r: 10, t: 8, b: 36 }, paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { size: 11, color: ink, family: "system-ui, sans-serif" }, hovermode: many > 8 ? "closest" : "x unified",
      hoverlabel: { bgcolor: dark.matches ? "#1d2128" : "#ffffff", font: { size: 11 } },
      xaxis: { ...line, title: { text: TITLES[axis.value], font: { size: 11 }, standoff: 4 } },
      yaxis: { ...line, type: panel.log ? "log" : "linear", ...(bounds ? { range: bounds } : {}),
        ...(panel.log && decades(data) >= 1 ? { dtick: 1 } : {}),
        zeroline: panel.stacked, zerolinecolor: ink, exponentformat: "power" },
      showlegend: panel.legend,
      legend: { orientation: "h", y: -0.22, yanchor: "top", x: 0, font: { size: 10 }, traceorder: "normal", maxheight: 0.7 },
      shapes, annotations, uirevision: axis.value,
    };
  }

  async function load() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.nonce = nonce;
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  }

  const panels = [];
  const draw = (panel) => {
    const data = traces(panel.of);
    const options = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d"] };
    Plotly.react(panel.plot, data, layout(panel.of, data), options);
    panel.drawn = true;
  };
  // A panel is drawn when it comes near, for forty at once would hold up a phone.
  const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
    const panel = panels.find((one) => one.plot === entry.target);
    panel.near = entry.isIntersecting;
    if (panel.near && !panel.drawn) draw(panel);
  }), { rootMargin: "400px" });
  const redraw = () => {
    panels.forEach((panel) => { panel.drawn = false; if (panel.near) draw(panel); });
    store();
  };

  content.pages.forEach((page, i) => page.forEach((of) => {
    const figure = document.createElement("figure"), caption = document.createElement("figcaption");
    const unit = document.createElement("span"), plot = document.createElement("div");
    caption.textContent = of.title + " ";
    unit.textContent = of.unit;
    caption.append(unit);
    plot.className = "plot";
    if (of.lines.length > 4) plot.style.height = `${260 + 17 * Math.ceil(of.lines.length / 2)}px`;  // a long legend
    figure.append(caption, plot);
    document.querySelector(`#page${i} .panels`).append(figure);
    panels.push({ of, plot, drawn: false, near: false });
  }));
  scrollTo(0, stored.scroll || 0);
  addEventListener("pagehide", store);
  try {
    await load();
  } catch (error) {
    const problem = document.getElementById("problem");
    problem.textContent = `The panels need a browser of 2023 or later: ${error.message}`;
    problem.hidden = false;
    return;
  }
  [axis, mean, ...boxes].forEach((control) => control.addEventListener("change", redraw));
  dark.addEventListener("change", redraw);
  panels.forEach((panel) => near.observe(panel.plot));
})();
