// The report page: source -> model (model.js) -> charts (charts.js). Here are the source, the JSON in
// the page as report_data() (monitoring/report.hpp) makes it, and the parts of the page.
"use strict";

// -- source ---------------------------------------------------------------------------------------

// {
//   title, version,
//   runs: [{
//     label, link, directory,
//     config: [[key, value as TOML]...],
//     summary: summary.json, shortened, or null while the run goes on,
//     evaluations: {key of metrics.jsonl: [value of each evaluation]..., bytes: [...]},
//     quotas: [[time, [quota of each worker]]...],
//     changes: [lines of metrics.jsonl with "event"...],
//     training: {local_steps, tokens, clock_seconds, loss: [...]} of rounds in the order in which they
//       arrived, up to a hundred means,
//     fates: {fate: rounds},
//     staleness_over_time: [[time, [[staleness, updates]...]]...],
//     cosine: [[time, mean, 10th percentile, 90th percentile]...],
//     cosine_to_others: the same,
//     timeline: {from, until, rounds: [[worker, fate, base, version, staleness, steps, assigned,
//                                       compute, settled]...]}; the fate of rounds that go on is
//                                       in_flight, and they are settled now
//   }...],
//   comparison: null or {
//     tables: [{title, note, columns, rows}...],
//     results: as in comparison.json; their `label` is that of their runs
//   },
//   live: of a run that goes on, and is the only one: {phase: starting, running or ended,
//     clock_seconds, plan: {method, parameters, unit, threads}, absent while it is starting,
//     workers: [[worker, working or waiting, base version, steps, since]...]}
// }

async function ask() {
  const answer = await fetch("api/v1/run");
  if (!answer.ok) throw new Error(`the run answers ${answer.status}`);
  return answer.json();
}

async function read_source() {
  return JSON.parse(document.getElementById("data").textContent) ?? ask();
}

// -- the page's parts -----------------------------------------------------------------------------

const clock_notes = {
  virtual:
    "On the virtual clock: the time is simulated from given paces and links, so it is the same on every machine.",
  wall: "On the wall clock: times are real.",
  mixed: "Some runs are on the virtual clock, whose time is simulated, others on the wall clock.",
};

function header_part(model) {
  const run = model.runs[0];
  const several = model.runs.length > 1;
  const of_all = (get, text) => {
    const values = [...new Set(model.runs.map(get))];
    return values.length === 1 ? text(values[0]) : null;
  };
  const facts = [
    several
      ? `${plural(model.runs.length, "run")} of ${plural(model.methods.length, "method")}`
      : run.method,
    of_all(
      (r) => r.workers,
      (count) => plural(count, "worker"),
    ),
    of_all(
      (r) => r.summary && r.summary.parameters,
      (count) => count && `${short_count_text(count)} parameters`,
    ),
    of_all(
      (r) => `${r.setting("model.kind")} on ${r.setting("data.kind")}`,
      (text) => text,
    ),
    of_all(
      (r) => r.setting("run.local_steps"),
      (count) => count && `${count_text(count)} local steps`,
    ),
    several ? null : `seed ${run.seed}`,
  ].filter(Boolean);
  const theme = choice(
    "theme",
    [
      ["auto", "auto"],
      ["light", "light"],
      ["dark", "dark"],
    ],
    stored_theme(),
    choose_theme,
  );
  const unfinished = model.live ? [] : model.runs.filter((r) => r.outcome !== "finished");
  return [
    element("div", { class: "line" }, element("h1", null, model.title), theme),
    element("p", { class: "lead" }, facts.join(" \u00b7 ")),
    element("p", { class: "quiet" }, clock_notes[model.clock]),
    model.live ? renewed(() => [live_line(model)]) : null,
    unfinished.length
      ? element(
          "p",
          { class: "warning" },
          several
            ? `Not finished: ${unfinished.map((r) => `${r.title} (${r.outcome})`).join("; ")}.`
            : ({
                unfinished: "This run has not finished: here is what there is so far.",
                interrupted: "This run was interrupted.",
                diverged: "This run diverged: its last loss is not a number.",
              }[run.outcome] ?? run.outcome),
        )
      : null,
    element(
      "details",
      null,
      element("summary", null, "New here? What is shown, in a few words"),
      element(
        "p",
        null,
        "Several workers of different speeds train one model. A worker takes the server's current version of the parameters, makes a number of local steps on its own data (a round) and sends back how far it got: an update, also called pseudo-gradient. The server merges updates into new versions with an outer optimizer. With asynchronous methods it does so whenever one arrives; with synchronous ones it waits for all workers.",
      ),
      element(
        "p",
        null,
        "A worker's quota is the number of local steps in its next round. An update's staleness is the number of versions that others made while it was being computed: 0 means that it was computed from the newest parameters.",
      ),
    ),
  ];
}

// -- a run that goes on ---------------------------------------------------------------------------

const renewed_every = 2000; // milliseconds
const lost_every = 5000; // when nobody answers

function live_line(model) {
  const run = model.runs[0];
  const { phase, clock_seconds } = model.live;
  if (state.lost) {
    return element(
      "p",
      { class: "warning" },
      "The run's process does not answer any more: it has ended, or cannot be reached. This is what it said last; its run directory has a report.html once it has ended.",
    );
  }
  const words = {
    starting: "Starting: loading data and building the model.",
    running: "Running.",
    ended: `Ended: ${run.outcome}.`,
  };
  const budget = run.setting("run.local_steps");
  const steps = local_steps_so_far(run);
  const share = budget > 0 ? Math.min(1, steps / budget) : 0;
  const bar = element("span", { class: "progress", "aria-hidden": "true" }, element("span"));
  bar.firstChild.style.width = `${100 * share}%`;
  return element(
    "p",
    { class: "live", role: "status" },
    element("b", null, words[phase]),
    phase === "starting"
      ? null
      : ` ${count_text(steps)} of ${count_text(budget)} local steps (${percent_text(share)}), ${duration_text(clock_seconds)} on the ${run.clock} clock `,
    phase === "starting" ? null : bar,
  );
}

/// Those of rounds that have arrived.
function local_steps_so_far(run) {
  if (run.summary) return run.summary.local_steps;
  return run.local_steps ?? 0;
}

function live_tiles(model) {
  const run = model.runs[0];
  const counts = method_histogram(run.of_method);
  const updates = [...counts.values()].reduce((a, b) => a + b, 0);
  const pairs = [...counts].sort((a, b) => a[0] - b[0]);
  const rounds = run.timeline.rounds;
  const version = rounds.reduce((newest, round) => Math.max(newest, round[3]), 0);
  const working = model.live.workers.filter(([, what]) => what === "working").length;
  const tiles = [
    [loss_text(run.final?.loss), `loss on ${run.evaluated_on} data (nats per ${run.unit})`],
    model.of_text ? [number_text(run.final?.perplexity), "perplexity"] : null,
    [count_text(version), "version of the parameters"],
    [updates ? number_text(staleness_measures.mean(pairs), 3) : nothing, "mean staleness (versions)"],
    [
      updates ? count_text(staleness_measures["99th percentile"](pairs)) : nothing,
      "99\u202f% of updates were at most so stale",
    ],
    [count_text(run.fates.applied ?? 0), "updates applied"],
    [`${working} of ${run.workers}`, "workers have a round"],
  ];
  return element(
    "div",
    { class: "tiles" },
    ...tiles
      .filter(Boolean)
      .map(([value, caption]) =>
        element("div", null, element("b", null, value), element("span", null, caption)),
      ),
  );
}

function workers_now(model) {
  const { workers, clock_seconds } = model.live;
  const columns = [
    { name: "worker", number: true },
    { name: "now" },
    { name: "from version", explanation: "that its round began with", number: true },
    { name: "quota", explanation: "local steps of its round", number: true },
    { name: "for", explanation: "on the run's clock", number: true },
  ];
  const rows = [...workers]
    .sort((a, b) => a[0] - b[0])
    .map(([worker, what, base, steps, since]) => [
      { text: String(worker) },
      { text: what === "working" ? "has a round" : "waits" },
      { text: count_text(base) },
      { text: count_text(steps) },
      { text: duration_text(Math.max(0, clock_seconds - since)) },
    ]);
  if (rows.length === 0) return [element("p", { class: "quiet" }, "No worker has had a round yet.")];
  return [table(columns, rows)];
}

/// Whether the pointer rests on the chart: it is then left as it is, to be read.
function is_looked_at(panel) {
  return window.matchMedia("(hover: hover)").matches && panel.node.matches(":hover");
}

function show_news(model) {
  for (const fill of state.refreshers) fill();
  for (const panel of state.panels) if (!is_looked_at(panel)) panel.draw();
  state.updates = (state.updates ?? 0) + 1;
  report_status();
}

async function follow(model) {
  for (;;) {
    const pause = state.lost ? lost_every : renewed_every;
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.hidden) continue;
    try {
      const data = await ask();
      state.lost = false;
      take_news(model, data);
      show_news(model);
      if (model.live.phase === "ended") return;
    } catch {
      if (!state.lost) {
        state.lost = true;
        show_news(model);
      }
    }
  }
}

// -- parts of every page --------------------------------------------------------------------------

function key_part(model) {
  const key = document.getElementById("key");
  if (model.methods.length < 2) return;
  key.hidden = false;
  const show = (hidden) => {
    state.hidden = new Set(hidden);
    buttons.forEach((button, i) =>
      button.setAttribute("aria-pressed", String(!state.hidden.has(i))),
    );
    draw_all();
  };
  const toggle = (index) => {
    const others = [...state.hidden].filter((hidden) => hidden !== index);
    show(state.hidden.has(index) ? others : [...others, index]);
  };
  const buttons = model.methods.map(({ index, label }) => {
    const click = () => toggle(index);
    const title = "show or hide in the charts";
    return element(
      "button",
      { type: "button", "aria-pressed": "true", title, click },
      swatch(index),
      label,
    );
  });
  const every = model.methods.map(({ index }) => index);
  const shortcuts = [
    element("button", { type: "button", class: "shortcut", click: () => show([]) }, "show all"),
    element("button", { type: "button", class: "shortcut", click: () => show(every) }, "hide all"),
  ];
  key.append(...buttons, ...(every.length > 4 ? shortcuts : []));
}

function tiles_part(model) {
  const run = model.runs[0];
  const by_name = new Map(result_quantities(model).map((quantity) => [quantity.name, quantity]));
  const tiles = [
    ["final loss", `final loss (nats per ${run.unit})`],
    ["perplexity", "perplexity"],
    ["bits per byte", "bits per byte"],
    ["accuracy", `${run.unit}s predicted right`],
    ["run time", run.clock === "virtual" ? "virtual time" : "wall time"],
    ["real time", "real time, evaluations included"],
    ["mean staleness", "mean staleness (versions)"],
    ["utilisation", "of the workers' time was local steps"],
  ]
    .map(([name, caption]) => ({ quantity: by_name.get(name), caption }))
    .filter(({ quantity }) => quantity && is_number(quantity.get(run)))
    .map(({ quantity, caption }) =>
      element(
        "div",
        { title: quantity.explanation },
        element("b", null, quantity.text(quantity.get(run))),
        element("span", null, caption),
      ),
    );
  return element("div", { class: "tiles" }, ...tiles);
}

function method_table(model) {
  const quantities = result_quantities(model).filter((quantity) => quantity.averaged);
  const columns = [
    { name: "method" },
    { name: "seeds", explanation: "runs of this method", number: true },
    ...quantities.map(({ name, explanation }) => ({ name, explanation, number: true })),
  ];
  const results = quantities.map((quantity) => {
    const of_methods = model.methods.map(({ runs }) => mean_and_error(runs.map(quantity.get)));
    const largest = Math.max(...of_methods.map(({ error }) => error ?? 0));
    return of_methods.map((result) => ({
      text: with_error(quantity, result, largest),
      sort: result.mean,
    }));
  });
  const rows = model.methods.map((method, i) => [
    { node: element("span", null, swatch(method.index), ` ${method.label}`), sort: method.label },
    { text: String(method.runs.length), sort: method.runs.length },
    ...results.map((of_methods) => of_methods[i]),
  ]);
  const seeds = model.methods.some((method) => method.runs.length > 1);
  const node = table(columns, rows, { sortable: true, sorted_by: 2, wide: true });
  const kinds = {
    training: "training data",
    "held-out": "held-out data, which no worker trains on",
  };
  const on = kinds[model.evaluated_on] ?? "evaluation data";
  return [
    node,
    element(
      "p",
      { class: "quiet" },
      `Best final loss first; loss and accuracy are those of the last version, on ${on}. `,
      seeds ? "Means over seeds \u00b1 standard error. " : "",
      "Choose a column's name to sort by it; rest the pointer on it for its meaning.",
    ),
  ];
}

/// A comparison has its own tables of results, which say more; two of them would only confuse.
function result_part(model, several) {
  if (model.comparison) return comparison_part(model);
  if (several) return method_table(model);
  const is_over = () => !model.live || model.live.phase === "ended";
  return [renewed(() => [is_over() ? tiles_part(model) : live_tiles(model)])];
}

function settings_part(model) {
  const parts = [];
  if (model.differing.length > 0) {
    const columns = [
      { name: "setting" },
      ...model.methods.map((method) => ({ name: method.label })),
    ];
    const rows = model.differing.map((key) => [
      { node: element("code", null, key), sort: key },
      ...model.methods.map((method) => ({ text: setting_text(method.runs[0].config.get(key)) })),
    ]);
    parts.push(
      element(
        "p",
        null,
        `What the methods differ in; ${nothing} where a method has no use for a setting.`,
      ),
      table(columns, rows),
    );
  }
  const common = [...model.runs[0].config].filter(
    ([key]) =>
      !model.differing.includes(key) && (model.runs.length === 1 || !own_settings.includes(key)),
  );
  const rows = common.map(([key, text]) => [
    { node: element("code", null, key), sort: key },
    { text: setting_text(text) },
  ]);
  parts.push(
    element(
      "details",
      null,
      element(
        "summary",
        null,
        `${model.runs.length === 1 ? "All" : "Common"} settings (${rows.length})`,
      ),
      table([{ name: "setting" }, { name: "value" }], rows),
    ),
  );
  return parts;
}

function learning_part(model) {
  const measures = {
    loss: {
      name: "loss",
      title: `loss on ${model.evaluated_on || "evaluation"} data (nats per ${model.unit})`,
    },
    perplexity: { name: "perplexity", title: "perplexity (e to the loss)" },
    bits_per_byte: { name: "bits per byte", title: "bits per byte of text" },
    accuracy: { name: "accuracy", title: `${model.unit}s predicted right (%)` },
    top5: { name: "top-5", title: "right class among the five most likely (%)" },
  };
  const is_share = () => measure === "accuracy" || measure === "top5";
  const against = {
    local_steps: "local steps",
    tokens: `${model.unit}s`,
    time: "time",
    bytes: "bytes sent",
  };
  const parts = { whole: 0, "last half": 0.5, "last quarter": 0.75 };
  let [measure, base, part] = ["loss", "local_steps", "whole"];

  const value_text = (value) =>
    is_share() ? `${number_text(value, 3)}\u202f%` : number_text(value, 5);
  const axes_in = (unit) => ({
    local_steps: {
      column: "local_steps",
      scale: 1,
      title: "local steps of all workers together",
      format: short_count_text,
      text: (x) => `${count_text(x)} steps`,
    },
    tokens: {
      column: "tokens",
      scale: 1,
      title: `${model.unit}s trained on`,
      format: short_count_text,
      text: (x) => `${short_count_text(x)} ${model.unit}s`,
    },
    time: {
      column: "clock_seconds",
      scale: 1 / unit.seconds,
      title: clock_title(model, unit.name),
      format: null,
      text: (x) => duration_text(x * unit.seconds),
    },
    bytes: {
      column: "bytes",
      scale: 1,
      title: "bytes sent between workers and server, both ways",
      format: bytes_text,
      text: bytes_text,
    },
  });

  const single = model.runs.length === 1;
  const legend = element("div", { class: "legend" });
  const draw = (plot, self) => {
    const x = axes_in(time_unit(longest_time(model.runs)))[base];
    const scale_y = is_share() ? 100 : 1;
    let lines = visible_methods(model).map((method) => ({
      label: method.label,
      index: method.index,
      points: mean_line(
        method.runs.map(({ evaluations }) =>
          points_of(
            evaluations[x.column].map((value) => (value === null ? null : value * x.scale)),
            evaluations[measure].map((value) => (value === null ? null : value * scale_y)),
          ),
        ),
      ),
    }));
    const training = single && measure === "loss" && model.runs[0].training[x.column];
    if (training) {
      const xs = training.map((value) => value * x.scale);
      lines.push({
        label: "training loss",
        index: 1,
        points: points_of(xs, model.runs[0].training.loss),
      });
    }
    legend.replaceChildren(
      ...(training
        ? [
            element("span", null, swatch(0), `on ${model.evaluated_on} data`),
            element("span", null, swatch(1), "in the workers' rounds (training loss)"),
          ]
        : []),
    );
    const ends = lines
      .filter((line) => line.points.length)
      .map((line) => line.points[line.points.length - 1].x);
    const from = parts[part] * Math.max(0, ...ends);
    lines = lines.map((line) => ({
      ...line,
      points: line.points.filter((point) => point.x >= from),
    }));
    const baselines = model.runs[0].summary?.baselines ?? {};
    const marks =
      measure === "bits_per_byte"
        ? Object.entries(baselines).map(([name, result]) => ({
            name: `${name} n-gram model`,
            y: result.bits_per_byte,
          }))
        : [];
    draw_lines(plot, self, lines, {
      x: x.title,
      y: measures[measure].title,
      x_format: x.format,
      from,
      marks,
      tip: (item) => {
        const range =
          item.raw.low === undefined
            ? ""
            : ` (${value_text(item.raw.low)} to ${value_text(item.raw.high)})`;
        return `${item.dataset.label}: ${value_text(item.raw.y)}${range} at ${x.text(item.raw.x)}`;
      },
    });
  };
  const measured = Object.entries(measures).filter(
    ([key]) =>
      (model.runs.some((run) => run.evaluations[key].some(is_number)) ||
        (model.live && key !== "top5" && (model.of_text || key !== "bits_per_byte"))) &&
      (model.of_text || key !== "perplexity"),
  );
  const seeds = model.methods.some((method) => method.runs.length > 1);
  const self = panel(
    "Loss and accuracy",
    element(
      "span",
      null,
      legend,
    [
      `Each point is an evaluation of the server's parameters on ${model.evaluated_on || "evaluation"} data: lower loss is better. `,
      "Against local steps, methods are compared by work done; against time, by how long one has to wait; against bytes, by what goes over the network.",
      seeds ? " A line is the mean over a method's seeds, the shade around it their range." : "",
    ].join(""),
    ),
    draw,
    {
      tall: true,
      controls: [
        choice(
          "show",
          measured.map(([key, { name }]) => [key, name]),
          measure,
          (value) => {
            measure = value;
            self.draw();
          },
        ),
        choice("against", Object.entries(against), base, (value) => {
          base = value;
          self.draw();
        }),
        choice(
          "part of the run",
          Object.keys(parts).map((name) => [name, name]),
          part,
          (value) => {
            part = value;
            self.draw();
          },
        ),
      ],
    },
  );
  return self.node;
}

function comparison_part(model) {
  const said = new Set(); // notes that several tables have
  return model.comparison.tables.map((given) => {
    const numeric = (i) =>
      given.rows.every(
        (row) => row[i] === null || is_number(row[i]) || /^([-+\d.\u2013]|$)/.test(row[i]),
      );
    const columns = given.columns.map((name, i) => ({
      name: String(name),
      number: i > 0 && numeric(i),
    }));
    const cell = (value, { number }) => {
      if (value === null) return { text: nothing, sort: null };
      if (!is_number(value))
        return { text: String(value), sort: number ? text_order(String(value)) : value };
      return {
        text: Number.isInteger(value) ? count_text(value) : number_text(value, 5),
        sort: value,
      };
    };
    const content = [
      table(
        columns,
        given.rows.map((row) => row.map((value, i) => cell(value, columns[i]))),
        { sortable: columns.length > 1 },
      ),
      given.note && !said.has(given.note)
        ? element("p", { class: "quiet" }, given.note)
        : null,
    ];
    said.add(given.note);
    const title = given.title ?? "";
    return given.rows.length > 15
      ? element(
          "details",
          null,
          element("summary", null, `${title} (${given.rows.length} rows)`),
          ...content,
        )
      : element("div", { class: "part" }, element("h3", null, title), ...content);
  });
}

function tradeoff_part(model) {
  const all = model.comparison ? comparison_points(model.comparison) : [];
  const points = all.filter(
    ({ result }) => result.diverged === 0 && is_number(result.final_loss.mean),
  );
  if (points.length < 2) return [];
  const on = `on ${model.evaluated_on || "evaluation"} data`;
  const measures = {
    accuracy: { title: `final accuracy ${on} (%)`, text: percent_text, scale: 100 },
    top5: {
      name: "top-5",
      title: `final top-5 accuracy ${on} (%)`,
      text: percent_text,
      scale: 100,
    },
    final_loss: {
      name: "loss",
      title: `final loss ${on} (nats per ${model.unit})`,
      text: loss_text,
      scale: 1,
    },
  };
  const measured = Object.keys(measures).filter((key) =>
    points.some(({ result }) => is_number(result[key].mean)),
  );
  const keys = varied_keys(points);
  let measure = model.of_text ? "final_loss" : measured[0];
  let joined = keys[0];

  // A run has the colour that it has in its first setting elsewhere.
  const runs = [...new Set(points.map((point) => point.run))];
  const index_of = (run) => {
    const { label } = points.find((point) => point.run === run);
    return model.methods.find((method) => method.label === label)?.index ?? runs.indexOf(run);
  };
  const is_shown = ({ label }) =>
    visible_methods(model).some((method) => method.label === label);
  const rests = () => [...new Set(tradeoff_lines(points, joined).map(({ rest }) => rest))];
  const text_of = ({ run, values }, first) => {
    if (!(joined in values)) return run;
    const value = setting_text(values[joined]);
    return first ? `${short_key(joined)} = ${value}` : value;
  };
  const tip = ({ raw: { point } }) => {
    const { run, values, result } = point;
    const { name = measure, text } = measures[measure];
    const settings = Object.entries(values).map(([key, value]) => `${key} ${setting_text(value)}`);
    const quality = with_error({ text }, result[measure], result[measure].error);
    const syncs = plural(Math.round(result.synchronisations.mean), "synchronisation");
    return [
      [run, ...settings].join(", "),
      `${name} ${quality}, ${plural(result[measure].count, "seed")}`,
      `${bytes_text(result.bytes_a_worker.mean)} a worker, ${syncs}`,
      `${duration_text(result.virtual_seconds.mean)} of virtual time`,
    ];
  };
  const draw_against = (x) => (plot, self) => {
    const { scale, title } = measures[measure];
    const styles = rests();
    const lines = tradeoff_lines(points.filter(is_shown), joined).map((line) => ({
      label: line.run,
      index: index_of(line.run),
      style: styles.indexOf(line.rest),
      points: line.points
        .filter(({ result }) => is_number(result[measure].mean) && x.get(result) > 0)
        .map((point, i) => ({
          x: x.get(point.result),
          y: scale * point.result[measure].mean,
          error: scale * (point.result[measure].error ?? 0),
          text: text_of(point, i === 0),
          point,
        })),
    }));
    draw_points(plot, self, lines, { ...x, y: title, tip });
  };

  const unit = time_unit(Math.max(...points.map(({ result }) => result.virtual_seconds.mean)));
  const where = "Better is up and to the left or, where the loss is shown, down and to the left.";
  const panels = [
    panel(
      "Against communication",
      `Each point is what a run came to in a setting, the mean over its seeds; the bars are one standard error long, up and down. ${where} The axis is logarithmic.`,
      draw_against({
        get: (result) => result.bytes_a_worker.mean,
        x: "bytes to and from each worker, in the whole run",
        x_format: bytes_text,
        logarithmic: true,
      }),
      { tall: true },
    ),
    panel(
      "Against time",
      `The same points against the time of the whole run. ${where}`,
      draw_against({
        get: (result) => result.virtual_seconds.mean / unit.seconds,
        x: clock_title(model, unit.name),
      }),
      { tall: true },
    ),
  ];

  const joined_by = () =>
    short_key(joined) === "H" ? `${joined} (H, the local steps of a round)` : joined;
  const meaning = element("p", { class: "quiet" });
  const legend = element("div", { class: "legend" });
  const fill_legend = () => {
    const styles = rests();
    meaning.textContent = keys.length
      ? `Here a run has one colour in all settings. Points of a run that differ in ${joined_by()} alone are joined, and its value stands beside them.`
      : "";
    legend.replaceChildren(
      ...runs.map((run) => element("span", null, swatch(index_of(run)), run)),
      ...(styles.length > 1
        ? styles.map((rest, i) =>
            element(
              "span",
              null,
              element("span", null, point_marks[i % point_marks.length]),
              rest || "as the run sets it",
            ),
          )
        : []),
    );
  };
  fill_legend();
  const redraw = () => {
    fill_legend();
    panels.forEach((self) => self.draw());
  };
  const show = choice(
    "show",
    measured.map((key) => [key, measures[key].name ?? key]),
    measure,
    (key) => {
      measure = key;
      redraw();
    },
  );
  const join = choice(
    "join points that differ in",
    keys.map((key) => [key, key]),
    joined,
    (key) => {
      joined = key;
      redraw();
    },
  );
  const controls = [measured.length > 1 ? show : null, keys.length > 1 ? join : null];
  const left_out = all.length - points.length;
  return [
    section(
      "Trade-off",
      element("div", { class: "controls" }, ...controls),
      meaning,
      legend,
      element("div", { class: "grid" }, ...panels.map((self) => self.node)),
      left_out > 0
        ? element(
            "p",
            { class: "quiet" },
            `Not drawn, because a seed diverged or none has a result: ${left_out} of ${plural(all.length, "point")}.`,
          )
        : null,
    ),
  ];
}

function staleness_part(model) {
  const histogram = panel(
    "How stale updates were",
    "Staleness is how many versions the server made while an update was being computed. 0: computed from the newest parameters; methods that wait for everybody have nothing else.",
    (plot, self) => {
      const counts = visible_methods(model).map((method) => ({
        method,
        counts: method_histogram(method),
      }));
      const values = counts.flatMap((entry) => [...entry.counts.keys()]);
      if (values.length === 0) {
        nothing_to_draw(plot, "No update was applied, or all methods are hidden.");
        return;
      }
      const width = Math.ceil((Math.max(...values) + 1) / 30);
      const bars = Math.floor(Math.max(...values) / width) + 1;
      const labels = Array.from({ length: bars }, (_, i) =>
        width === 1 ? String(i) : `${i * width}\u2013${(i + 1) * width - 1}`,
      );
      const datasets = counts.map(({ method, counts: of_method }) => {
        const data = new Array(bars).fill(0);
        let total = 0;
        for (const [staleness, count] of of_method) {
          data[Math.floor(staleness / width)] += count;
          total += count;
        }
        return {
          label: method.label,
          data: data.map((count) => (total ? (100 * count) / total : 0)),
          counts: data,
          backgroundColor: series_colour(method.index),
          borderColor: series_colour(method.index),
          borderDash: series_dash(method.index),
        };
      });
      const type = datasets.length > 4 ? "line" : "bar"; // so many bars would be hairlines
      draw_chart(
        plot,
        self,
        type,
        self.title,
        { labels, datasets },
        {
          scales: {
            x: { ...axis("staleness (versions)"), type: "category" },
            y: { ...axis("share of applied updates (%)"), beginAtZero: true },
          },
          plugins: {
            tooltip: {
              callbacks: {
                title: (items) => `staleness ${items[0].label}`,
                label: (item) =>
                  `${item.dataset.label}: ${number_text(item.raw, 3)}\u202f%, ${plural(item.dataset.counts[item.dataIndex], "update")}`,
              },
            },
          },
        },
      );
    },
  );

  const single = model.runs.length === 1;
  const all = "distribution";
  let measure = single ? all : "mean";
  const over_time = panel(
    "Staleness over time",
    [
      "The same in the course of the run: it rises when workers are slow or many, and jumps when workers leave, pause or change their pace.",
      single ? "The stronger the colour, the more of that time's updates." : "",
    ].join(" "),
    (plot, self) => {
      const unit = time_unit(longest_time(model.runs));
      if (measure === all) {
        const columns = model.runs[0].staleness_over_time;
        draw_heat(
          plot,
          self,
          columns.map(([time, pairs]) => [time / unit.seconds, pairs]),
          {
            x: clock_title(model, unit.name),
            y: "staleness (versions)",
            tip: ({ raw }) =>
              `staleness ${raw.low === raw.high ? raw.low : `${raw.low}\u2013${raw.high}`}: ${plural(raw.count, "update")}, ${percent_text(raw.share)} around ${duration_text(raw.x * unit.seconds)}`,
          },
        );
        return;
      }
      const lines = visible_methods(model).map((method) => ({
        label: method.label,
        index: method.index,
        points: mean_line(
          method.runs.map((run) =>
            run.staleness_over_time.map(([time, pairs]) => ({
              x: time / unit.seconds,
              y: staleness_measures[measure](pairs),
            })),
          ),
        ),
      }));
      draw_lines(plot, self, lines, {
        x: clock_title(model, unit.name),
        y: `staleness (versions), ${measure}`,
        from_zero: true,
        tip: (item) =>
          `${item.dataset.label}: ${number_text(item.raw.y, 3)} at ${duration_text(item.raw.x * unit.seconds)}`,
      });
    },
    {
      controls: [
        choice(
          "show",
          [...(single ? [all] : []), ...Object.keys(staleness_measures)].map((name) => [name, name]),
          measure,
          (value) => {
            measure = value;
            over_time.draw();
          },
        ),
      ],
    },
  );
  return element("div", { class: "grid" }, histogram.node, over_time.node);
}

const fate_colours = {
  applied: "--computing",
  too_stale: "--series-3",
  duplicate: "--series-4",
  abandoned: "--away",
  run_ended: "--series-1",
};

function fates_part(model) {
  const rows = model.methods.flatMap((method) => {
    const fates = new Map();
    for (const run of method.runs) {
      for (const [fate, count] of Object.entries(run.fates)) {
        fates.set(fate, (fates.get(fate) ?? 0) + count);
      }
    }
    const total = [...fates.values()].reduce((a, b) => a + b, 0);
    const sorted = [...fates].sort((a, b) => b[1] - a[1]);
    const colour = (fate) => `var(${fate_colours[fate] ?? "--series-7"})`;
    const pieces = sorted.map(([fate, count]) => {
      const piece = element("span", { title: fate_name(fate) });
      piece.style.width = `${(100 * count) / total}%`;
      piece.style.background = colour(fate);
      return piece;
    });
    const counts = sorted.map(([fate, count]) =>
      element(
        "span",
        null,
        area(colour(fate)),
        `${count_text(count)} ${fate_name(fate)} (${percent_text(count / total)})`,
      ),
    );
    return [
      element(
        "div",
        null,
        model.methods.length > 1 ? swatch(method.index) : "",
        ` ${method.label}`,
      ),
      element(
        "div",
        null,
        element("div", { class: "bar", "aria-hidden": "true" }, ...pieces),
        element(
          "div",
          { class: "legend quiet" },
          ...(counts.length ? counts : ["no round was settled"]),
        ),
      ),
    ];
  });
  return [
    element(
      "p",
      { class: "quiet" },
      "What became of every round that was given out: each has exactly one fate.",
    ),
    element("div", { class: "fates" }, ...rows),
  ];
}

function cosine_part(model) {
  return cosine_panel(model, {
    title: "Do updates agree with the momentum?",
    text: "The cosine between an update and the server's momentum just before it was merged: above 0 it pushes the way the model is already going, at 0 sideways, below 0 back.",
    who: "Only methods with outer momentum have one.",
    axis: "cosine to the momentum (\u22121 to 1)",
    column: "cosine",
  });
}

/// Nothing unless a run has record.pairwise_cosines.
function pairwise_cosine_part(model) {
  const asked_for = model.live && model.runs[0].setting("record.pairwise_cosines");
  if (!asked_for && model.runs.every((run) => run.cosine_to_others.length === 0)) return "";
  return cosine_panel(model, {
    title: "Do workers agree with each other?",
    text: "Cosine between pseudo-gradients: of each update with the latest one of every other worker, in synchronous runs with those of its own round. Near 1 all workers found the same way, near 0 each found its own.",
    who: "Only runs with record.pairwise_cosines have it.",
    axis: "cosine between pseudo-gradients (\u22121 to 1)",
    column: "cosine_to_others",
  });
}

function cosine_panel(model, about) {
  const single = model.runs.length === 1;
  return panel(
    about.title,
    [
      about.text,
      single ? "Line: mean; shade: the middle 80\u202f% of updates." : about.who,
    ].join(" "),
    (plot, self) => {
      const unit = time_unit(longest_time(model.runs));
      const lines = visible_methods(model).map((method) => ({
        label: method.label,
        index: method.index,
        points: mean_line(
          method.runs.map((run) =>
            run[about.column].map(([time, mean, low, high]) => ({
              x: time / unit.seconds,
              y: mean,
              ...(single ? { low, high } : {}),
            })),
          ),
        ),
      }));
      draw_lines(plot, self, lines, {
        x: clock_title(model, unit.name),
        y: about.axis,
        marks: [{ name: "", y: 0 }],
        tip: (item) =>
          `${item.dataset.label}: ${number_text(item.raw.y, 3)} at ${duration_text(item.raw.x * unit.seconds)}`,
      });
    },
  ).node;
}

// -- one run in detail ----------------------------------------------------------------------------

function change_sentence(change) {
  const who = `worker ${change.worker}`;
  const next = change.quota > 0 ? `; quota ${change.quota}` : "";
  if (change.event === "leave") return `${who} leaves`;
  if (change.event === "join") return `${who} is back${next}`;
  if (change.seconds_per_step === 0) return `${who} pauses`;
  return `${who} now takes ${number_text(change.seconds_per_step, 3)} s a step${next}`;
}

function run_part(run) {
  const model_of_one = { clock: run.clock };
  const all_rounds = Object.values(run.fates).reduce((a, b) => a + b, 0);
  const shown = run.timeline.rounds.length;
  const limits = [
    run.goes_on
      ? "Here are the newest rounds; those that go on have no second number yet. "
      : shown < all_rounds
      ? `Here are the ${count_text(shown)} rounds that were given out first, of ${count_text(all_rounds)}. `
      : "",
    run.workers > 32 ? `Only the first 32 of ${count_text(run.workers)} workers are shown. ` : "",
  ].join("");
  const legend = element("div", { class: "legend" });
  const timeline = panel(
    "What the workers did",
    element(
      "span",
      null,
      legend,
      `A bar is a round; the numbers in it are the version that it began from and the version that the server had once its update was settled. ${limits}Drag to move, double-click to zoom in.`,
    ),
    (plot, self) => draw_timeline(run, plot, self, legend),
  );

  const quota_legend = element("div", { class: "legend" });
  const quota = panel(
    "Quotas over time",
    element(
      "span",
      null,
      quota_legend,
      "How many local steps each worker would be given for its next round; 0 while it is away. With DyLU a quota follows the worker's speed, so that all rounds take about as long; a fixed quota stays the same.",
    ),
    (plot, self) => {
      const unit = time_unit(longest_time([run]));
      const lines = quota_lines(run).map((points, worker) => ({
        label: `worker ${worker}`,
        index: worker,
        points: points.map(({ x, y }) => ({ x: x / unit.seconds, y })),
      }));
      draw_lines(plot, self, lines, {
        x: clock_title(model_of_one, unit.name),
        y: "quota (local steps a round)",
        from_zero: true,
        stepped: true,
        tip: (item) =>
          `${item.dataset.label}: ${plural(item.raw.y, "step")} from ${duration_text(item.raw.x * unit.seconds)}`,
      });
      quota_legend.replaceChildren(
        ...(lines.length <= 12
          ? lines.map((line) => element("span", null, swatch(line.index), line.label))
          : []),
      );
    },
  );

  return {
    nodes: [timeline.node, quota.node, renewed(() => run_tables(run))],
    panels: [timeline, quota],
  };
}

function run_tables(run) {
  const parts = [];
  if (run.changes.length > 0) {
    const lines = run.changes
      .slice(0, 200)
      .map((change) => [
        { text: duration_text(change.clock_seconds), sort: change.clock_seconds },
        { text: change_sentence(change) },
      ]);
    const more = run.changes.length > lines.length ? `, the first ${lines.length}` : "";
    parts.push(
      element(
        "details",
        null,
        element("summary", null, `What happened to workers (${run.changes.length}${more})`),
        table([{ name: "time" }, { name: "event" }], lines),
      ),
    );
  }
  if (run.summary) {
    const columns = [
      { name: "worker", number: true },
      {
        name: "s a step",
        explanation: run.paced ? "as given, before any event" : "as measured",
        number: true,
      },
      { name: "rounds", number: true },
      { name: "local steps", number: true },
      { name: "utilisation", explanation: "share of its time that was local steps", number: true },
    ];
    const rows = run.summary.per_worker.map((worker, i) => [
      { text: String(i), sort: i },
      { text: number_text(worker.seconds_per_step, 3), sort: worker.seconds_per_step },
      { text: count_text(worker.rounds), sort: worker.rounds },
      { text: count_text(worker.local_steps), sort: worker.local_steps },
      { text: percent_text(worker.utilisation), sort: worker.utilisation },
    ]);
    parts.push(
      element(
        "details",
        null,
        element("summary", null, "Workers in numbers"),
        table(columns, rows),
      ),
    );
  }
  return parts;
}

function detail_part(model) {
  const place = element("div");
  let current = [];
  const show = (run) => {
    state.panels = state.panels.filter((self) => !current.includes(self));
    for (const self of current) if (self.chart) self.chart.destroy();
    const { nodes, panels } = run_part(run);
    current = panels;
    place.replaceChildren(...nodes);
    if (place.isConnected) panels.forEach((self) => self.draw());
  };
  show(model.runs[0]);
  if (model.runs.length === 1) return place;
  const select = element(
    "select",
    { change: () => show(model.runs[Number(select.value)]) },
    ...model.runs.map((run) => element("option", { value: run.index }, run.title)),
  );
  return element("div", null, element("label", null, "Run: ", select), place);
}

// -- all numbers ----------------------------------------------------------------------------------

function folder_node(run) {
  if (!run.link) return element("code", null, run.directory);
  const address = run.link.split("/").map(encodeURIComponent).join("/");
  return element("a", { href: address }, element("code", null, run.directory));
}

function numbers_part(model) {
  const quantities = result_quantities(model);
  if (model.runs.length === 1) {
    const run = model.runs[0];
    const known = (quantity) => !model.live || is_number(quantity.get(run));
    const rows = quantities.filter(known).map((quantity) => [
      { text: quantity.name },
      { text: quantity.text(quantity.get(run)), sort: quantity.get(run) },
      { text: quantity.explanation },
    ]);
    const texts = [
      ["outcome", run.outcome, ""],
      ["precision", run.summary?.precision || nothing, "of the products in a local step"],
      [
        "SHA-256",
        element("code", null, run.summary?.params_sha256 ?? nothing),
        "of the final parameters: equal for equal settings and seed on the virtual clock",
      ],
    ];
    rows.push(...texts.map((row) => row.map((node) => ({ node }))));
    rows.push([
      { text: "folder" },
      { node: folder_node(run), sort: "" },
      { text: "config.toml, metrics.jsonl, updates.jsonl, summary.json, parameters.safetensors" },
    ]);
    return [table([{ name: "number" }, { name: "value" }, { name: "meaning" }], rows)];
  }
  const is_empty = (quantity) => quantity.rare && model.runs.every((run) => !quantity.get(run));
  const shown = quantities.filter((quantity) => !is_empty(quantity));
  const left_out = quantities.filter(is_empty).map((quantity) => quantity.name);
  const columns = [
    { name: "method" },
    { name: "seed", number: true },
    { name: "outcome" },
    ...shown.map(({ name, explanation }) => ({ name, explanation, number: true })),
    { name: "precision", explanation: "of the products in a local step" },
    {
      name: "SHA-256",
      explanation:
        "of the final parameters, its first digits: equal for equal settings and seed on the virtual clock",
    },
    { name: "folder" },
  ];
  const rows = model.runs.map((run) => [
    { text: run.of_method.label },
    { text: String(run.seed), sort: run.seed },
    { text: run.outcome },
    ...shown.map((quantity) => ({
      text: quantity.text(quantity.get(run)),
      sort: quantity.get(run),
    })),
    { text: run.summary?.precision || nothing },
    { text: (run.summary?.params_sha256 ?? nothing).slice(0, 12) },
    { node: folder_node(run), sort: run.directory },
  ]);
  const note = left_out.length
    ? `Left out because they are 0 in every run: ${left_out.join(", ")}.`
    : "";
  return [
    table(columns, rows, { sortable: true, wide: true }),
    element("p", { class: "quiet" }, note),
  ];
}

// -- theme ----------------------------------------------------------------------------------------

const prefers_dark = window.matchMedia("(prefers-color-scheme: dark)");

function stored_theme() {
  try {
    return localStorage.getItem("rubato-theme") ?? "auto";
  } catch {
    return "auto"; // storage is off for files in some browsers
  }
}

function apply_theme(theme) {
  const dark = theme === "dark" || (theme === "auto" && prefers_dark.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

function choose_theme(theme) {
  try {
    localStorage.setItem("rubato-theme", theme);
  } catch {
    // then it is forgotten with the page
  }
  apply_theme(theme);
  draw_all();
}

// -- start ----------------------------------------------------------------------------------------

function draw_all() {
  for (const self of state.panels) self.draw();
  report_status();
}

/// For whoever drives the page with a program: the body's data-status is "ready: 6 charts, 0 errors".
function report_status() {
  const drawn = state.panels.filter((self) => self.drawn).length;
  document.body.dataset.status = `ready: ${drawn} charts, ${state.errors} errors`;
  if (state.updates) document.body.dataset.updates = state.updates;
}

function show_page(model) {
  if (model.live) model.title = `Rubato: ${model.runs[0].name}`;
  document.title = model.title;
  document
    .getElementById("foot")
    .append(
      `Made by Rubato ${model.version}. Charts: Chart.js ${Chart.version}, \u00a9 Chart.js Contributors, MIT licence. This page loads nothing from elsewhere.`,
    );
  const main = document.getElementById("main");
  const top = document.getElementById("top");
  if (model.runs.length === 0) {
    top.append(element("h1", null, model.title));
    const tables = model.comparison ? comparison_part(model) : [];
    main.replaceChildren(element("p", { class: "warning" }, "There is no run to show."), ...tables);
    return;
  }
  top.append(...header_part(model).filter(Boolean));
  key_part(model);
  const several = model.methods.length > 1 || model.runs.length > 1;
  main.replaceChildren(
    ...tradeoff_part(model),
    section("Result", ...result_part(model, several)),
    section("Learning", learning_part(model)),
    section("Settings", ...settings_part(model)),
    section("Staleness", staleness_part(model)),
    section(
      "Updates",
      renewed(() => fates_part(model)),
      cosine_part(model),
      pairwise_cosine_part(model),
    ),
    section(
      several ? "One run in detail" : "Workers",
      model.live ? renewed(() => workers_now(model)) : null,
      detail_part(model),
    ),
    section(
      "All numbers",
      renewed(() => numbers_part(model)),
    ),
  );
  draw_all();
}

async function start() {
  window.addEventListener("error", () => {
    state.errors += 1;
    report_status();
  });
  Chart.defaults.font.family = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  Chart.defaults.locale = "en-US";
  Chart.Interaction.modes.nearest_of_lines = nearest_of_lines;
  apply_theme(stored_theme());
  prefers_dark.addEventListener("change", () => choose_theme(stored_theme()));
  try {
    const model = build_model(await read_source());
    show_page(model);
    if (model.live) follow(model);
  } catch (error) {
    fail(error);
    document
      .getElementById("main")
      .replaceChildren(
        element("p", { class: "warning" }, `This page could not be drawn: ${error.message}`),
      );
  }
  report_status();
}

start();
