// How things are drawn: elements, tables, charts of lines, and the workers' timeline. Not here: what
// is drawn (page.js) and what it means (model.js). No text from the data is ever read as HTML.
"use strict";

// -- elements -------------------------------------------------------------------------------------

function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

let choices_made = 0;

/// Buttons of which one is pressed. `options` are [value, text] pairs.
function choice(name, options, value, chosen) {
  const group = `choice-${choices_made++}`;
  const labels = options.map(([option, text]) =>
    element(
      "label",
      null,
      element("input", {
        type: "radio",
        name: group,
        value: option,
        checked: option === value,
        change: () => chosen(option),
      }),
      text,
    ),
  );
  return element("fieldset", { class: "choice" }, element("legend", null, name), ...labels);
}

/// `columns`: {name, explanation, number}; a row is a list of {text or node, sort}. A table that is
/// sortable has buttons for it in its head; `sorted_by` is the column that it begins with.
function table(columns, rows, { sortable = false, sorted_by = null, wide = false } = {}) {
  const body = element("tbody");
  const fill = () => {
    body.replaceChildren(
      ...rows.map((row) =>
        element(
          "tr",
          null,
          ...row.map((cell, i) =>
            element(
              i === 0 ? "th" : "td",
              { class: columns[i].number ? "number" : null, scope: i === 0 ? "row" : null },
              cell.node ?? cell.text,
            ),
          ),
        ),
      ),
    );
  };
  const heads = columns.map((column) =>
    element("th", {
      scope: "col",
      title: column.explanation || null,
      class: column.number ? "number" : null,
    }),
  );
  const sort = (index, descending) => {
    const key = ({ [index]: cell }) => ("sort" in cell ? cell.sort : cell.text);
    const missing = (value) => value === null || value === undefined;
    rows.sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      const order = is_number(x) && is_number(y) ? x - y : String(x).localeCompare(String(y));
      return descending ? -order : order;
    });
    heads.forEach((head, i) => {
      if (i === index) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    fill();
  };
  heads.forEach((head, i) => {
    const up = () => head.getAttribute("aria-sort") === "ascending";
    head.append(
      sortable && rows.length > 1 && columns[i].name !== ""
        ? element("button", { type: "button", click: () => sort(i, up()) }, columns[i].name)
        : columns[i].name,
    );
  });
  if (sorted_by === null) fill();
  else sort(sorted_by, false);
  return element(
    "div",
    { class: "scroll", tabindex: 0 },
    element(
      "table",
      { class: wide ? "wide" : null },
      element("thead", null, element("tr", null, ...heads)),
      body,
    ),
  );
}

function section(title, ...children) {
  return element("section", null, element("h2", null, title), ...children);
}

function swatch(index) {
  const node = element("span", { class: index >= 8 ? "swatch dashed" : "swatch" });
  node.style.borderColor = `var(--series-${index % 8})`;
  return node;
}

/// A square of a colour, for legends of areas.
function area(colour) {
  const node = element("span", { class: "swatch area" });
  node.style.background = colour;
  return node;
}

// -- charts ---------------------------------------------------------------------------------------

const state = { hidden: new Set(), panels: [], refreshers: [], errors: 0 };

/// A part of the page that is made anew when there are news; `make` returns a list of nodes.
function renewed(make) {
  const place = element("div");
  const fill = () => place.replaceChildren(...make());
  fill();
  state.refreshers.push(fill);
  return place;
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function series_colour(index) {
  return css(`--series-${index % 8}`);
}

const dashes = [[], [7, 4], [2, 3]];

function series_dash(index) {
  return dashes[Math.floor(index / 8) % dashes.length];
}

function fail(error) {
  state.errors += 1;
  console.error(error);
}

/// A titled chart with a sentence that explains it. `draw(plot, panel)` fills the plot; it is called
/// again, with the plot empty, when what it depends on has changed.
function panel(title, explanation, draw, { controls = [], tall = false } = {}) {
  const plot = element("div", { class: tall ? "plot tall" : "plot" });
  const self = { title, chart: null, drawn: false };
  self.node = element(
    "figure",
    null,
    element("h3", null, title),
    controls.length ? element("div", { class: "controls" }, ...controls) : null,
    plot,
    element("figcaption", null, explanation),
  );
  self.draw = () => {
    if (self.chart) self.chart.destroy();
    self.chart = null;
    plot.replaceChildren();
    try {
      draw(plot, self);
      self.drawn = true;
    } catch (error) {
      self.drawn = false;
      fail(error);
      plot.replaceChildren(element("p", { class: "nothing" }, "This chart could not be drawn."));
    }
  };
  state.panels.push(self);
  return self;
}

function nothing_to_draw(plot, why) {
  plot.append(element("p", { class: "nothing" }, why));
}

function visible_methods(model) {
  return model.methods.filter((method) => !state.hidden.has(method.index));
}

function axis(title, format) {
  return {
    type: "linear",
    title: { display: true, text: title, color: css("--text") },
    grid: { color: css("--line"), borderColor: css("--quiet") },
    ticks: {
      color: css("--quiet"),
      maxRotation: 0,
      includeBounds: false,
      ...(format ? { callback: format } : {}),
    },
  };
}

function draw_chart(plot, self, type, label, data, options, plugins = []) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  plot.append(canvas);
  self.chart = new Chart(canvas, {
    type,
    data,
    plugins,
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      ...options,
      plugins: { legend: { display: false }, ...options.plugins },
    },
  });
}

/// Horizontal lines with a name, for orientation.
function marks_plugin(marks) {
  return {
    id: "marks",
    afterDatasetsDraw(chart) {
      const { ctx, chartArea, scales } = chart;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = css("--quiet");
      ctx.setLineDash([4, 4]);
      ctx.font = "12px system-ui, sans-serif";
      ctx.textAlign = "right";
      for (const mark of marks) {
        const y = scales.y.getPixelForValue(mark.y);
        ctx.beginPath();
        ctx.moveTo(chartArea.left, y);
        ctx.lineTo(chartArea.right, y);
        ctx.stroke();
        ctx.fillText(mark.name, chartArea.right - 4, y - 4);
      }
      ctx.restore();
    },
  };
}

/// The point that is nearest to the pointer, of lines alone: bands have none to tell of.
function nearest_of_lines(chart, event) {
  let nearest = [];
  let shortest = Infinity;
  for (const meta of chart.getSortedVisibleDatasetMetas()) {
    if (chart.data.datasets[meta.index].band) continue;
    meta.data.forEach((point, index) => {
      const distance = Math.hypot(point.x - event.x, point.y - event.y);
      if (distance >= shortest) return;
      shortest = distance;
      nearest = [{ element: point, datasetIndex: meta.index, index }];
    });
  }
  return nearest;
}

/// `lines`: {label, index, points: [{x, y, low, high}...]}; low and high make a band.
function draw_lines(
  plot,
  self,
  lines,
  { x, y, x_format, tip, from = 0, from_zero = false, marks = [], stepped = false },
) {
  const shown = lines.filter((line) => line.points.length > 0);
  if (shown.length === 0) {
    nothing_to_draw(
      plot,
      state.hidden.size ? "Nothing to show; choose a method above." : "Nothing was measured here.",
    );
    return;
  }
  const shade = shown.length > 4 ? "1c" : "38"; // the opacity of bands, which add up
  const datasets = shown.flatMap((line) => {
    const colour = series_colour(line.index);
    const bounds = line.points.filter((point) => point.low !== undefined);
    const edge = { borderWidth: 0, pointRadius: 0, pointHitRadius: 0, band: true };
    const band = [
      { ...edge, fill: false, data: bounds.map(({ x, low }) => ({ x, y: low })) },
      {
        ...edge,
        fill: "-1",
        backgroundColor: `${colour}${shade}`,
        data: bounds.map(({ x, high }) => ({ x, y: high })),
      },
    ];
    const few = line.points.length <= 40;
    return [
      ...(bounds.length ? band : []),
      {
        label: line.label,
        data: line.points,
        borderColor: colour,
        backgroundColor: colour,
        borderDash: series_dash(line.index),
        borderWidth: 2,
        pointRadius: few && !stepped ? 2 : 0,
        pointHitRadius: 8,
        stepped,
        fill: false,
      },
    ];
  });
  const [low, high] = extent(shown.flatMap((line) => line.points.map((point) => point.y)));
  const last = Math.max(...shown.map((line) => line.points[line.points.length - 1].x));
  draw_chart(
    plot,
    self,
    "line",
    `${self.title}: ${y} against ${x}`,
    { datasets },
    {
      parsing: false,
      interaction: { mode: "nearest_of_lines" },
      scales: {
        x: { ...axis(x, x_format), min: from, max: last },
        y: { ...axis(y), beginAtZero: from_zero },
      },
      plugins: {
        tooltip: { callbacks: { title: () => "", label: tip } },
      },
    },
    [marks_plugin(marks.filter((mark) => mark.y >= low && mark.y <= high))],
  );
}

/// How the values of a quantity were spread in the course of time: `columns` are
/// [time, [[value, count]...]]; the stronger the colour, the larger its share of that time.
function draw_heat(plot, self, columns, { x, y, tip }) {
  if (columns.length === 0) {
    nothing_to_draw(plot, "Nothing was measured here.");
    return;
  }
  const gaps = columns.slice(1).map(([time], i) => time - columns[i][0]);
  const width = gaps.length ? Math.min(...gaps) : columns[0][0] || 1;
  const highest = Math.max(...columns.flatMap(([, pairs]) => pairs.map(([value]) => value)));
  const height = Math.max(1, Math.ceil((highest + 1) / 30));
  const cells = columns.flatMap(([time, pairs]) => {
    const counts = new Map();
    for (const [value, count] of pairs) {
      const row = Math.floor(value / height);
      counts.set(row, (counts.get(row) ?? 0) + count);
    }
    const total = [...counts.values()].reduce((a, b) => a + b, 0);
    return [...counts].map(([row, count]) => ({
      x: time,
      y: height * row + (height - 1) / 2,
      low: height * row,
      high: height * (row + 1) - 1,
      share: count / total,
      count,
    }));
  });
  const paint = {
    id: "heat",
    beforeDatasetsDraw(chart) {
      const { ctx, chartArea, scales } = chart;
      ctx.save();
      ctx.beginPath();
      ctx.rect(chartArea.left, chartArea.top, chartArea.width, chartArea.height);
      ctx.clip();
      ctx.fillStyle = series_colour(0);
      for (const cell of cells) {
        const left = scales.x.getPixelForValue(cell.x - width / 2);
        const right = scales.x.getPixelForValue(cell.x + width / 2);
        const top = scales.y.getPixelForValue(cell.high + 0.5);
        const bottom = scales.y.getPixelForValue(cell.low - 0.5);
        ctx.globalAlpha = 0.12 + 0.88 * cell.share;
        ctx.fillRect(left, top, right - left + 0.5, bottom - top - 0.5);
      }
      ctx.restore();
    },
  };
  draw_chart(
    plot,
    self,
    "scatter",
    `${self.title}: ${y} against ${x}`,
    { datasets: [{ label: y, data: cells, pointRadius: 0, pointHitRadius: 8 }] },
    {
      parsing: false,
      scales: {
        x: { ...axis(x), min: 0, max: columns[columns.length - 1][0] + width / 2 },
        y: { ...axis(y), min: -0.5, max: height * (Math.floor(highest / height) + 1) - 0.5 },
      },
      plugins: { tooltip: { callbacks: { title: () => "", label: tip } } },
    },
    [paint],
  );
}

const point_styles = ["circle", "rect", "triangle", "rectRot", "crossRot", "star"];
const point_marks = ["\u25cf", "\u25a0", "\u25b2", "\u25c6", "\u2715", "\u2217"]; // the same

/// Standard errors as vertical bars.
const error_bars = {
  id: "error_bars",
  beforeDatasetsDraw(chart) {
    const { ctx, scales } = chart;
    ctx.save();
    for (const meta of chart.getSortedVisibleDatasetMetas()) {
      const { data, borderColor } = chart.data.datasets[meta.index];
      ctx.strokeStyle = borderColor;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      data.forEach(({ y, error }, i) => {
        if (!(error > 0)) return;
        const { x } = meta.data[i];
        const ends = [y - error, y + error].map((end) => scales.y.getPixelForValue(end));
        for (const end of ends) {
          ctx.moveTo(x - 4, end);
          ctx.lineTo(x + 4, end);
        }
        ctx.moveTo(x, ends[0]);
        ctx.lineTo(x, ends[1]);
      });
      ctx.stroke();
    }
    ctx.restore();
  },
};

/// The text of each point next to it, where there is room.
const point_texts = {
  id: "point_texts",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea } = chart;
    ctx.save();
    ctx.font = "12px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    ctx.strokeStyle = css("--ground");
    ctx.lineWidth = 3;
    const metas = chart.getSortedVisibleDatasetMetas();
    const taken = metas.flatMap(({ data }) =>
      data.map(({ x, y }) => ({ left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 })),
    );
    const is_free = (box) =>
      box.left >= chartArea.left &&
      box.right <= chartArea.right &&
      box.top >= chartArea.top &&
      box.bottom <= chartArea.bottom &&
      taken.every(
        (other) =>
          box.right < other.left ||
          box.left > other.right ||
          box.bottom < other.top ||
          box.top > other.bottom,
      );
    for (const meta of metas) {
      const { data, borderColor } = chart.data.datasets[meta.index];
      ctx.fillStyle = borderColor;
      meta.data.forEach(({ x, y }, i) => {
        const { text } = data[i];
        if (!text) return;
        const width = ctx.measureText(text).width;
        const boxes = [y - 12, y + 12, y - 24, y + 24].flatMap((middle) =>
          [x + 7, x - 7 - width].map((left) => ({
            left,
            right: left + width,
            top: middle - 6,
            bottom: middle + 6,
          })),
        );
        const box = boxes.find(is_free);
        if (!box) return;
        taken.push(box);
        ctx.strokeText(text, box.left, (box.top + box.bottom) / 2); // lines behind it end there
        ctx.fillText(text, box.left, (box.top + box.bottom) / 2);
      });
    }
    ctx.restore();
  },
};

/// `lines`: {label, index, style, points: [{x, y, error, text}...]}; the points of a line are joined.
function draw_points(plot, self, lines, { x, y, x_format, logarithmic, tip }) {
  const points = lines.flatMap((line) => line.points);
  if (points.length === 0) {
    nothing_to_draw(plot, "Nothing to show here.");
    return;
  }
  const datasets = lines.map((line) => {
    const colour = series_colour(line.index);
    return {
      label: line.label,
      data: line.points,
      borderColor: colour,
      backgroundColor: colour,
      borderDash: dashes[line.style % dashes.length],
      borderWidth: 1.5,
      pointStyle: point_styles[line.style % point_styles.length],
      pointRadius: 5,
      pointHoverRadius: 7,
      fill: false,
    };
  });
  const [low, high] = extent(points.flatMap((p) => [p.y - (p.error ?? 0), p.y + (p.error ?? 0)]));
  const [first, last] = extent(points.map((point) => point.x));
  const span = logarithmic ? { min: first / 1.25, max: last * 1.6 } : { min: 0, max: last * 1.15 };
  const ticks = logarithmic ? log_ticks(span.min, span.max).map((value) => ({ value })) : null;
  draw_chart(
    plot,
    self,
    "line",
    `${self.title}: ${y} against ${x}`,
    { datasets },
    {
      parsing: false,
      interaction: { mode: "nearest_of_lines" },
      scales: {
        x: {
          ...axis(x, x_format),
          ...span,
          ...(logarithmic
            ? { type: "logarithmic", afterBuildTicks: (scale) => (scale.ticks = ticks) }
            : {}),
        },
        y: { ...axis(y), suggestedMin: low, suggestedMax: high, grace: "8%" },
      },
      plugins: { tooltip: { callbacks: { title: () => "", label: tip } } },
    },
    [error_bars, point_texts],
  );
}

function clock_title(model, unit) {
  if (model.clock === "virtual") return `virtual time (simulated ${unit})`;
  if (model.clock === "wall") return `wall time (real ${unit})`;
  return `time on each run's own clock, virtual or wall (${unit})`;
}

function longest_time(runs) {
  const times = runs.map((run) => {
    const seconds = run.evaluations.clock_seconds;
    return Math.max(run.timeline.until, seconds[seconds.length - 1] ?? 0);
  });
  return Math.max(0, ...times);
}

// -- the workers' timeline ------------------------------------------------------------------------

const activity_names = {
  computing: "computing local steps",
  receiving: "receiving parameters",
  sending: "sending its update",
  waiting: "waiting",
  paused: "paused",
  away: "away",
  lost: "computing, but nothing arrived",
};

/// Draws worker_activity() on a canvas, a row for each worker; drag, buttons and keys move about.
function draw_timeline(run, plot, self, legend) {
  const { workers, activity, begin, end } = worker_activity(run);
  if (activity.length === 0 || end <= begin) {
    nothing_to_draw(plot, "No round was finished.");
    return;
  }
  const rounds = run.timeline.rounds;
  const assigned_at = (round) => rounds[Math.min(Math.max(round, 0), rounds.length - 1)][6];
  // A run that goes on is followed, until somebody looks elsewhere.
  const newest = { from: assigned_at(rounds.length - 8 * workers), to: end };
  const first = { from: begin, to: Math.min(end, assigned_at(8 * workers)) };
  const wanted = self.view ?? (run.goes_on ? newest : first);
  const view = wanted.to > wanted.from ? { ...wanted } : { from: begin, to: end };
  const canvas = element("canvas", {
    id: "timeline",
    tabindex: 0,
    role: "img",
    "aria-label": "Timeline of the workers. Arrow keys move, plus and minus zoom.",
  });
  const hint = element("div", { id: "hint", hidden: true });
  plot.style.height = "auto";
  const rows = [];
  for (let worker = 0; worker < workers; ++worker) {
    rows.push(activity.filter((piece) => piece.worker === worker));
  }
  const narrow = () => plot.clientWidth < 560;
  const [top, bottom] = [4, 44];
  const row_height = workers > 12 ? 18 : 30;
  const height = top + workers * row_height + bottom;
  const left = () => (narrow() ? 30 : 160);
  const width = () => plot.clientWidth - left() - 12;
  const x_of = (time) => left() + ((time - view.from) / (view.to - view.from)) * width();
  const time_at = (x) => view.from + ((x - left()) / width()) * (view.to - view.from);

  const pace = (worker) => {
    const seconds = run.summary?.per_worker[worker]?.seconds_per_step;
    return is_number(seconds) ? `, ${Number(seconds.toPrecision(3))} s/step` : "";
  };

  const paint = () => {
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(plot.clientWidth * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const ctx = canvas.getContext("2d");
    ctx.scale(scale, scale);
    ctx.font = "12px system-ui, sans-serif";
    ctx.textBaseline = "middle";
    const colours = Object.fromEntries(
      ["computing", "receiving", "sending", "waiting", "away", "lost"].map((kind) => [
        kind,
        css(`--${kind}`),
      ]),
    );
    const fill = (row, from, to, colour, inset, inset_above = inset) => {
      const a = Math.max(x_of(from), left());
      const b = Math.min(x_of(to), left() + width());
      if (b <= a) return 0;
      ctx.fillStyle = colour;
      // A hairline between neighbours shows where a round ends.
      const gap = b - a > 3 ? 0.7 : 0;
      const y = top + row * row_height + inset_above;
      ctx.fillRect(a, y, Math.max(b - a - gap, 0.4), row_height - inset - inset_above);
      return b - a;
    };
    rows.forEach((pieces, worker) => {
      const middle = top + (worker + 0.5) * row_height;
      ctx.fillStyle = css("--text");
      ctx.textAlign = "right";
      ctx.fillText(
        narrow() ? String(worker) : `worker ${worker}${pace(worker)}`,
        left() - 8,
        middle,
      );
      fill(worker, begin, end, colours.waiting, 3);
      const pauses = [];
      for (const piece of pieces) {
        if (piece.to < view.from || piece.from > view.to) continue;
        if (piece.kind === "paused") {
          pauses.push(piece);
          continue;
        }
        const shown = fill(worker, piece.from, piece.to, colours[piece.kind], 3);
        if (piece.kind !== "computing") continue;
        const { base, version, fate } = piece.round;
        const text = `${base}\u2192${fate === "in_flight" ? "" : version}`;
        if (row_height < 24 || shown < ctx.measureText(text).width + 8) continue;
        const centre =
          (Math.max(x_of(piece.from), left()) + Math.min(x_of(piece.to), left() + width())) / 2;
        ctx.fillStyle = css("--on-computing");
        ctx.textAlign = "center";
        ctx.fillText(text, centre, middle + 0.5);
      }
      // A strip below the text of the round that goes on afterwards.
      for (const { from, to } of pauses) fill(worker, from, to, colours.away, 3, row_height - 8);
    });
    paint_axis(ctx);
  };

  const paint_axis = (ctx) => {
    const unit = time_unit(view.to);
    const span = (view.to - view.from) / unit.seconds;
    const wanted = span / (narrow() ? 4 : 8);
    const power = 10 ** Math.floor(Math.log10(wanted));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= wanted);
    const base = top + workers * row_height;
    ctx.fillStyle = css("--quiet");
    ctx.strokeStyle = css("--quiet");
    ctx.textAlign = "center";
    for (
      let k = Math.ceil(view.from / unit.seconds / step);
      k * step * unit.seconds <= view.to;
      ++k
    ) {
      const x = x_of(k * step * unit.seconds);
      ctx.beginPath();
      ctx.moveTo(x, base);
      ctx.lineTo(x, base + 5);
      ctx.stroke();
      ctx.fillText(String(Number((k * step).toPrecision(6))), x, base + 14);
    }
    const clock = run.clock === "virtual" ? "virtual time (simulated" : "wall time (real";
    ctx.fillStyle = css("--text");
    ctx.fillText(`${clock} ${unit.name})`, left() + width() / 2, base + 32);
  };

  const piece_at = (x, y) => {
    const row = Math.floor((y - top) / row_height);
    if (row < 0 || row >= workers || x < left() || x > left() + width()) return null;
    const time = time_at(x);
    const found = rows[row].filter((piece) => piece.from <= time && time <= piece.to);
    const nearest = found.find((piece) => piece.round) ?? found[0];
    return nearest ?? { worker: row, kind: "waiting", round: null, from: null, to: null };
  };
  const describe = ({ worker, kind, round, from, to }) => {
    const long = from === null ? "" : ` for ${duration_text(to - from)}`;
    const what = `Worker ${worker}: ${activity_names[kind]}${long}.`;
    if (!round) return what;
    const work = ` ${plural(round.steps, "local step")} from version ${round.base}`;
    if (round.fate === "applied")
      return `${what}${work}; became version ${round.version}, staleness ${round.staleness}.`;
    return `${what}${work}; ${fate_name(round.fate)}.`;
  };

  const look = (from, to) => {
    const shortest = (end - begin) / 1e5;
    const span = Math.min(Math.max(to - from, shortest), end - begin);
    view.from = Math.min(Math.max(from, begin), end - span);
    view.to = view.from + span;
    self.view = { ...view };
    paint();
  };
  const follow = () => {
    look(newest.from, newest.to);
    self.view = null;
  };
  const move = (share) =>
    look(view.from + share * (view.to - view.from), view.to + share * (view.to - view.from));
  const zoom = (factor, centre = (view.from + view.to) / 2) =>
    look(centre - (centre - view.from) * factor, centre + (view.to - centre) * factor);

  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.offsetX, from: view.from, to: view.to };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (held) {
      const shift = ((held.x - event.offsetX) / width()) * (held.to - held.from);
      look(held.from + shift, held.to + shift);
    }
    const piece = piece_at(event.offsetX, event.offsetY);
    hint.hidden = piece === null;
    if (!piece) return;
    hint.textContent = describe(piece);
    const x = Math.min(event.offsetX + 14, Math.max(plot.clientWidth - hint.offsetWidth, 0));
    hint.style.left = `${x}px`;
    hint.style.top = `${event.offsetY + 18}px`;
  });
  canvas.addEventListener("pointerup", () => (held = null));
  canvas.addEventListener("pointercancel", () => (held = null));
  canvas.addEventListener("pointerleave", () => (hint.hidden = true));
  canvas.addEventListener("dblclick", (event) => zoom(0.5, time_at(event.offsetX)));
  canvas.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => move(-0.25),
      ArrowRight: () => move(0.25),
      "+": () => zoom(0.5),
      "-": () => zoom(2),
    };
    if (!keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });

  const button = (text, title, click) => element("button", { type: "button", title, click }, text);
  plot.append(
    element(
      "div",
      { class: "controls" },
      button("\u2190", "earlier", () => move(-0.5)),
      button("\u2192", "later", () => move(0.5)),
      button("+", "zoom in", () => zoom(0.5)),
      button("\u2212", "zoom out", () => zoom(2)),
      button("whole", "all that is recorded here", () => look(begin, end)),
      run.goes_on ? button("newest", "follow the run", follow) : null,
    ),
    canvas,
    hint,
  );
  const kinds = new Set(["computing", "waiting", ...activity.map((piece) => piece.kind)]);
  legend.replaceChildren(
    ...Object.keys(activity_names)
      .filter((kind) => kinds.has(kind))
      .map((kind) => {
        const mark = area(`var(--${kind === "paused" ? "away" : kind})`);
        if (kind === "paused") mark.style.height = "5px";
        return element("span", null, mark, activity_names[kind]);
      }),
  );
  paint();
  const observer = new ResizeObserver(paint);
  observer.observe(plot);
  self.chart = { destroy: () => observer.disconnect() };
}
