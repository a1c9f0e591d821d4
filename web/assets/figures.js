// Draws what the server describes of each figure: panels by Plotly, which is loaded once a figure comes into view, and
// parallel coordinates by ourselves, since Plotly's need a policy that allows code from strings.
"use strict";

const PLOTLY = document.body.dataset.plotly;
const AGAIN_MS = 1000;
const dark = matchMedia("(prefers-color-scheme: dark)");
let plotly = null;

function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = PLOTLY;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the drawing code could not be loaded"));
    document.head.append(script);
  });
  return plotly;
}

// Plotly sets whole style attributes, which the policy of our pages refuses as it would those of foreign markup; the same
// through the style object is allowed, since only scripts can do it.
const setAttribute = Element.prototype.setAttribute;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else setAttribute.call(this, name, value);
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
// Plotly reads a few tags in its texts.
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const rgba = (name, alpha) => colour(name) + Math.round(alpha * 255).toString(16).padStart(2, "0");

class Figure {
  constructor(place) {
    this.place = place;
    this.area = place.querySelector(".area");
    this.address = place.dataset.figure;
    this.text = null;
  }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      let response = await fetch(this.address);
      while (response.status === 202) {
        if (this.text === null) this.say("The server is computing this figure…");
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        response = await fetch(this.address);
      }
      if (!response.ok) throw new Error(`the server said ${response.status}`);
      const text = await response.text();
      if (text !== this.text) {
        this.text = text;
        await this.draw();
      }
    } catch (error) {
      if (this.text === null) this.fail(error);
    } finally {
      this.loading = false;
    }
  }

  say(text) {
    const line = document.createElement("p");
    line.className = "none";
    line.textContent = text;
    this.area.replaceChildren(line);
  }

  fail(error) {
    // A browser's own words for that are no help.
    const why = error instanceof TypeError ? "the server did not answer" : error.message;
    this.say(`This figure could not be drawn: ${why}. `);
    const again = document.createElement("button");
    again.textContent = "Try again";
    again.addEventListener("click", () => this.load());
    this.area.firstChild.append(again);
  }

  async draw() {
    const figure = JSON.parse(this.text);
    if (figure.nothing) return this.say(figure.nothing);
    if (figure.parallel) return drawParallel(this.area, figure.parallel);
    const drawing = await loadPlotly();
    const panels = figure.panels.map((panel) => [panel, document.createElement("div")]);
    const around = document.createElement("div");
    around.className = "facets";
    around.dataset.count = Math.min(panels.length, 3);
    for (const [panel, div] of panels) {
      const part = document.createElement("div");
      if (panel.title) part.append(Object.assign(document.createElement("h3"), { textContent: panel.title }));
      part.append(div);
      if (panel.note) part.append(Object.assign(document.createElement("p"), { className: "unit", textContent: panel.note }));
      around.append(part);
    }
    this.area.replaceChildren(around);
    for (const [panel, div] of panels) {
      await drawing.newPlot(div, traces(panel), layout(panel), { displayModeBar: false, responsive: true });
      div.on("plotly_click", (event) => {
        const trial = event.points[0]?.customdata;
        if (trial !== undefined && trial !== null) location.href = document.body.dataset.study + "/trials/" + trial;
      });
    }
  }
}

function traces(panel) {
  const scale = panel.scale;
  const colours = scale && scale.colours.map((it, place) => [place / (scale.colours.length - 1), it]);
  let bar = Boolean(scale);
  return panel.marks.map((mark) => {
    const named = { name: plain(mark.name ?? ""), showlegend: Boolean(mark.name) };
    const tone = mark.colour && colour(mark.colour);
    if (mark.mark === "dots") {
      const scaled = mark.values.length > 0;
      const marker = { size: mark.hollow ? 6 : 7, symbol: mark.hollow ? "circle-open" : "circle", color: tone };
      if (scaled) {
        Object.assign(marker, { color: mark.values, colorscale: colours, cmin: scale.low, cmax: scale.high, showscale: bar });
        marker.line = { width: 1, color: colour("soft") };
        const dtick = scale.label === "trial" && scale.high - scale.low < 10 ? 1 : undefined;
        marker.colorbar = { title: { text: plain(scale.label), side: "right" }, thickness: 10, outlinewidth: 0, dtick };
        bar = false;
      }
      const value = scaled && scale.label !== "trial" ? `<br>${plain(scale.label)} %{marker.color:.4g}` : "";
      const of = mark.trials.length ? "trial %{customdata}<br>" : "";
      const hovertemplate = `${of}${hover(panel.x, "x")}<br>${hover(panel.y, "y")}${value}<extra></extra>`;
      return { ...named, type: "scatter", mode: "markers", x: mark.x, y: mark.y, customdata: mark.trials, marker, hovertemplate };
    }
    if (mark.mark === "line") {
      const own = mark.trial !== null;
      return {
        ...named, type: "scatter", mode: mark.x.length === 1 ? "markers" : "lines", x: mark.x, y: mark.y,
        customdata: own ? mark.x.map(() => mark.trial) : undefined,
        line: { color: tone, width: own ? 1.25 : 2, dash: mark.dashed ? "dash" : "solid" }, marker: { color: tone },
        hovertemplate: `${own ? "trial %{customdata}<br>" : ""}${hover(panel.x, "x")}<br>${hover(panel.y, "y")}<extra></extra>`,
      };
    }
    if (mark.mark === "bars") {
      const own = mark.bars.some((it) => it.trial !== null);
      return {
        ...named, type: "bar", orientation: "h", width: 0.64, marker: { color: tone },
        y: mark.bars.map((it) => it.row), base: mark.bars.map((it) => it.from), x: mark.bars.map((it) => it.to - it.from),
        customdata: own ? mark.bars.map((it) => it.trial) : undefined,
        text: own ? undefined : mark.bars.map((it) => plain(it.label)), textposition: "auto", constraintext: "none",
        hovertext: mark.bars.map((it) => plain(it.label)), hoverinfo: "text",
      };
    }
    return {
      type: "contour", x: mark.x, y: mark.y, z: mark.values, colorscale: colours, zmin: scale.low, zmax: scale.high,
      showscale: false, contours: { coloring: "heatmap" }, line: { width: 0.5 }, hoverinfo: "skip",
    };
  });
}

function hover(axis, side) {
  if (axis.kind.words) return `${plain(axis.label)} %{${side}}`;
  const format = { time: "|%H:%M:%S", whole: ":d" }[axis.kind] ?? ":.4g";
  return `${plain(axis.label)} %{${side}${format}}`;
}

function layout(panel) {
  const rows = panel.y.kind.words?.length;
  const named = panel.marks.some((mark) => mark.name);
  return {
    autosize: true, height: rows === undefined ? 300 : Math.max(150, 90 + 26 * rows), barmode: "overlay", dragmode: "zoom",
    margin: { l: 10, r: 10, t: named ? 30 : 8, b: 10 }, hovermode: "closest", showlegend: named,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", font: { color: colour("soft") } },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("soft"), size: 12, family: getComputedStyle(document.body).fontFamily },
    hoverlabel: { bgcolor: colour("ink"), font: { color: colour("card") }, bordercolor: colour("ink") },
    // What stands over the panel is not said beside it again.
    xaxis: axis(panel.x, false), yaxis: axis(panel.y.label === panel.title ? { ...panel.y, label: "" } : panel.y, true),
  };
}

function axis(it, upright) {
  const words = it.kind.words;
  const label = plain(it.label);
  const common = { title: { text: label, standoff: 8 }, gridcolor: colour("rule"), linecolor: colour("rule"), zeroline: false, automargin: true };
  if (words) {
    const short = (word) => plain(word.length > 26 ? "…" + word.slice(-25) : word);
    const range = upright ? [it.high, it.low] : [it.low, it.high];
    return { ...common, range, tickvals: words.map((_, place) => place), ticktext: words.map(short), showgrid: !upright };
  }
  if (it.kind === "log") {
    const range = [Math.log10(it.low), Math.log10(it.high)];
    const powers = Math.floor(range[1]) - Math.ceil(range[0]) + 1;
    // Between powers of ten Plotly would write digits, which on a narrow page stand upon them.
    const dtick = powers > 1 ? Math.ceil((range[1] - range[0]) / 6) : undefined;
    return { ...common, type: "log", range, dtick, exponentformat: "power" };
  }
  // Few whole numbers have halves between them.
  if (it.kind === "whole" && it.high - it.low < 10) return { ...common, range: [it.low, it.high], dtick: 1 };
  if (it.kind === "time") return { ...common, type: "date", range: [it.low, it.high] };
  return { ...common, range: [it.low, it.high] };
}

// Parallel coordinates. A drag along an axis keeps the trials that pass there, in the figure and on the board.
const SVG = "http://www.w3.org/2000/svg";
const brushes = new Map();

function make(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawParallel(area, content) {
  const apart = Math.max(96, ((area.clientWidth || 1100) - 150) / Math.max(1, content.axes.length - 1));
  const [left, top, height] = [80, 40, 230];
  const width = left + apart * (content.axes.length - 1) + 70;
  const svg = make("svg", { viewBox: `0 0 ${width} ${top + height + 40}`, width, height: top + height + 40, class: "parallel" });
  const x = (place) => left + apart * place;
  const y = (place) => (place === null ? top + height + 18 : top + (1 - place) * height);
  const { low, high } = content.scale;
  const colours = dark.matches ? content.night : content.scale.colours;
  const lines = content.lines.map((line) => {
    const at = Math.min(Math.max((line.value - low) / (high - low), 0), 1);
    const points = line.places.map((place, axis) => `${x(axis).toFixed(1)},${y(place).toFixed(1)}`).join(" ");
    const path = make("polyline", { points, fill: "none", stroke: colours[Math.round(at * (colours.length - 1))] });
    path.append(make("title", {}, `trial ${line.trial}: ${line.value.toPrecision(4)}`));
    path.addEventListener("click", () => (location.href = document.body.dataset.study + "/trials/" + line.trial));
    svg.append(path);
    return [line, path];
  });
  const select = () => {
    for (const [line, path] of lines) {
      const kept = [...brushes].every(([place, [from, to]]) => line.places[place] !== null && line.places[place] >= from && line.places[place] <= to);
      path.classList.toggle("out", !kept);
    }
  };
  content.axes.forEach((it, place) => {
    const group = make("g", { class: "axis" });
    group.append(make("line", { x1: x(place), x2: x(place), y1: top, y2: top + height }));
    const label = it.axis.label.length > apart / 6.5 ? "…" + it.axis.label.slice(1 - Math.floor(apart / 6.5)) : it.axis.label;
    group.append(make("text", { x: x(place), y: 16, class: "name" }, label, make("title", {}, it.axis.label)));
    for (const [at, text] of it.ticks) {
      group.append(make("text", { x: x(place) - 7, y: y(at) + 4, class: "tick" }, text.length > 11 ? text.slice(0, 10) + "…" : text));
    }
    const brush = make("rect", { x: x(place) - 8, width: 16, y: 0, height: 0, class: "brush" });
    const handle = make("rect", { x: x(place) - 16, y: top - 8, width: 32, height: height + 16, class: "handle", tabindex: 0, role: "slider", "aria-label": it.axis.label + ", drag to keep a range, or arrow keys for its lower end and with Shift for its upper end", "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": 100 });
    const show = () => {
      const range = brushes.get(place);
      const percent = (range ?? [0, 1]).map((end) => Math.round(100 * end));
      handle.setAttribute("aria-valuenow", percent[0]);
      handle.setAttribute("aria-valuetext", range ? `kept from ${percent[0]} to ${percent[1]} percent` : "all kept");
      brush.setAttribute("y", range ? y(range[1]) : 0);
      brush.setAttribute("height", range ? Math.max(2, y(range[0]) - y(range[1])) : 0);
    };
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      const pixel = ((event.clientY - box.top) / box.height) * (top + height + 40);
      return Math.min(Math.max(1 - (pixel - top) / height, 0), 1);
    };
    handle.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      handle.setPointerCapture(event.pointerId);
      const from = at(event);
      let moved = false;
      const move = (next) => {
        const to = at(next);
        moved ||= Math.abs(to - from) > 0.015;
        if (moved) brushes.set(place, [Math.min(from, to), Math.max(from, to)]);
        show();
        select();
      };
      const up = () => {
        handle.removeEventListener("pointermove", move);
        if (!moved) brushes.delete(place);
        show();
        select();
        filter(content);
      };
      handle.addEventListener("pointermove", move);
      handle.addEventListener("pointerup", up, { once: true });
    });
    handle.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 0.05, ArrowDown: -0.05 }[event.key];
      if (step === undefined && !["Escape", "Delete", "Backspace"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      let [from, to] = brushes.get(place) ?? [0, 1];
      if (event.shiftKey) to = Math.min(Math.max(to + (step ?? 0), from), 1);
      else from = Math.min(Math.max(from + (step ?? 0), 0), to);
      if (step === undefined || (from === 0 && to === 1)) brushes.delete(place);
      else brushes.set(place, [from, to]);
      show();
      select();
      filter(content);
    });
    group.append(brush, handle);
    svg.append(group);
    show();
  });
  select();
  const scroll = document.createElement("div");
  scroll.className = "sideways";
  scroll.append(svg);
  area.replaceChildren(scroll);
}

// The board is filtered by what the brushes say, in its own words.
function filter(content) {
  const parts = [];
  for (const [place, [from, to]] of brushes) {
    const { name, axis } = content.axes[place];
    const quoted = /[\s<>=!~()"']/.test(name) ? (name.includes('"') ? `'${name}'` : `"${name}"`) : name;
    if (axis.kind.words) {
      const value = (at) => axis.low + at * (axis.high - axis.low);
      const kept = axis.kind.words.filter((_, at) => at >= value(from) && at <= value(to));
      const word = (it) => (it.includes('"') ? `'${it}'` : `"${it}"`);
      const said = kept.map((it) => `${quoted} = ${Number.isFinite(Number(it)) ? it : word(it)}`);
      parts.push(said.length === 0 ? "number < 0" : said.length === 1 ? said[0] : `(${said.join(" or ")})`);
    } else {
      const value = (at) => (axis.kind === "log" ? axis.low * (axis.high / axis.low) ** at : axis.low + at * (axis.high - axis.low));
      parts.push(`${quoted} >= ${value(from).toPrecision(4)} and ${quoted} <= ${value(to).toPrecision(4)}`);
    }
  }
  document.dispatchEvent(new CustomEvent("brushed", { detail: parts.join(" and ") }));
}

const figures = [...document.querySelectorAll("[data-figure]")].map((place) => new Figure(place));
const seen = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const figure = figures.find((it) => it.place === entry.target);
    if (entry.isIntersecting) seen.add(figure);
    else seen.delete(figure);
    if (entry.isIntersecting) figure.load();
  }
}, { rootMargin: "200px" });
figures.forEach((figure) => watcher.observe(figure.place));
dark.addEventListener("change", () => figures.filter((it) => it.text !== null).forEach((it) => it.draw()));

// What happened since is drawn once in a while, for what is in view.
let changed = false;
document.addEventListener("happened", () => (changed = true));
setInterval(() => {
  if (!changed || document.hidden) return;
  changed = false;
  seen.forEach((figure) => figure.load());
}, 5000);
