// What the runs mean, without a thought of screens: from the data of the page (page.js) to runs,
// methods, lines, bars and numbers, and these as text.
"use strict";

// -- numbers as text ------------------------------------------------------------------------------

const nothing = "\u2013";

function is_number(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function number_text(value, digits = 4) {
  if (!is_number(value)) return nothing;
  if (value !== 0 && (Math.abs(value) >= 1e9 || Math.abs(value) < 1e-4)) {
    return value.toExponential(digits - 1);
  }
  if (Math.abs(value) >= 10 ** digits) return Math.round(value).toLocaleString("en-US");
  return value === 0 ? "0" : value.toPrecision(digits);
}

function count_text(value) {
  return is_number(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 1 }) : nothing;
}

function scaled_text(value, units) {
  if (!is_number(value)) return nothing;
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit + 1 < units.length) {
    value /= 1000;
    unit += 1;
  }
  return Number(value.toPrecision(3)) + units[unit];
}

function short_count_text(value) {
  return scaled_text(value, ["", "k", "M", "G", "T", "P"]);
}

function bytes_text(value) {
  return scaled_text(value, [" B", " kB", " MB", " GB", " TB", " PB"]);
}

function percent_text(share) {
  return is_number(share) ? `${number_text(100 * share, 3)}\u202f%` : nothing;
}

function loss_text(value) {
  return number_text(value, 5);
}

function duration_text(seconds) {
  if (!is_number(seconds)) return nothing;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))}\u202fs`;
  const whole = Math.round(seconds);
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`;
  return `${Math.floor(whole / 3600)}h ${two(Math.floor(whole / 60) % 60)}m`;
}

function plural(count, name) {
  return `${count_text(count)} ${name}${count === 1 ? "" : "s"}`;
}

/// What a text such as "5m 00s", "21.2 MB" or "1.28 \u00b1 0.02" is sorted by.
function text_order(text) {
  const units = { ms: 1e-3, m: 60, h: 3600, d: 86400, k: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 };
  const number = /([-+]?[\d.]+(?:e[-+]?\d+)?) ?(ms|[mhdkMGTP])?/g;
  const terms = [...text.split("\u00b1")[0].matchAll(number)];
  if (terms.length === 0) return null;
  return terms.reduce((sum, [, value, unit]) => sum + Number(value) * (units[unit] ?? 1), 0);
}

/// The smallest and the largest of the numbers.
function extent(numbers) {
  return numbers.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

/// The unit in which times up to `longest` seconds are best read.
function time_unit(longest) {
  if (longest > 3 * 86400) return { name: "days", seconds: 86400 };
  if (longest > 3 * 3600) return { name: "hours", seconds: 3600 };
  if (longest > 300) return { name: "minutes", seconds: 60 };
  if (longest > 0 && longest < 0.3) return { name: "milliseconds", seconds: 0.001 };
  return { name: "seconds", seconds: 1 };
}

// -- model ----------------------------------------------------------------------------------------

/// Settings that do not make another method of a run.
const own_settings = ["run.directory", "run.name", "run.seed", "run.threads", "data.prefetch"];

/// A value as TOML has it, for people and as a value: most of TOML's values are JSON too.
function setting_value(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function setting_text(text) {
  if (text === undefined) return nothing;
  const value = setting_value(text);
  if (value === "") return "(empty)";
  return typeof value === "string" ? value : text;
}

function build_run(raw, index) {
  const config = new Map(raw.config);
  const setting = (key) => (config.has(key) ? setting_value(config.get(key)) : undefined);
  const summary = raw.summary;
  const evaluations = {
    ...raw.evaluations,
    perplexity: raw.evaluations.loss.map((loss) => (loss === null ? null : Math.exp(loss))),
  };
  const last = evaluations.loss.length - 1;
  const at = (i) => Object.fromEntries(Object.entries(evaluations).map(([k, v]) => [k, v[i]]));
  return {
    index,
    label: raw.label,
    directory: raw.directory,
    link: raw.link,
    config,
    setting,
    summary,
    evaluations,
    goes_on: raw.goes_on ?? false,
    local_steps: raw.local_steps,
    final: summary ? summary.final : last < 0 ? null : at(last),
    name: setting("run.name") ?? "run",
    seed: summary ? summary.seed : setting("run.seed"),
    outcome: summary ? summary.outcome : "unfinished",
    clock: setting("clock.mode") ?? "virtual",
    unit: { text: "token", tensors: "example" }[setting("data.kind")] ?? "point",
    evaluated_on: setting("evaluate.on") ?? "held-out",
    synchronous: setting("outer.mode") === "sync",
    paced: setting("clock.mode") !== "wall" || setting("workers.throttle") === true,
    workers: setting("workers.count") ?? 1,
    method: summary
      ? summary.method
      : [
          `${setting("outer.mode")} ${setting("outer.optimizer")}`,
          `quota ${setting("quota.policy")}`,
        ].join(", "),
    quotas: raw.quotas,
    changes: raw.changes,
    training: raw.training,
    fates: raw.fates,
    staleness_over_time: raw.staleness_over_time,
    cosine: raw.cosine,
    cosine_to_others: raw.cosine_to_others,
    timeline: raw.timeline,
  };
}

/// Seeds of one method belong together: runs of one label or, without labels, of the same settings.
function group_runs(runs) {
  const groups = new Map();
  for (const run of runs) {
    const settings = [...run.config].filter(([key]) => !own_settings.includes(key));
    const identity = run.label === "" ? JSON.stringify(settings) : `label ${run.label}`;
    if (!groups.has(identity)) groups.set(identity, []);
    groups.get(identity).push(run);
  }
  const methods = [...groups.values()].map((members) => ({ label: "", runs: members }));
  const differing = differing_settings(methods);
  name_methods(methods, differing);
  methods.forEach((method, index) => {
    method.index = index;
    for (const run of method.runs) {
      run.of_method = method;
      run.title = method.runs.length > 1 ? `${method.label}, seed ${run.seed}` : method.label;
    }
  });
  return { methods, differing };
}

function differing_settings(methods) {
  const configs = methods.map((method) => method.runs[0].config);
  const keys = new Set(configs.flatMap((config) => [...config.keys()]));
  return [...keys].filter(
    (key) =>
      !own_settings.includes(key) &&
      configs.some((config) => config.get(key) !== configs[0].get(key)),
  );
}

/// The first of these that tells all methods apart: their labels, the runs' names, what is not the
/// same in the program's words for the methods, the settings that are not as in most, the folders.
function name_methods(methods, differing) {
  const all_runs = methods.flatMap((method) => method.runs);
  const pieces = (run) => run.method.split(", ");
  const telling = (run) =>
    pieces(run)
      .filter((piece) => !all_runs.every((other) => pieces(other).includes(piece)))
      .join(", ");
  const usual = new Map(
    differing.map((key) => {
      const values = methods.map((method) => method.runs[0].config.get(key));
      const times = (value) => values.filter((other) => other === value).length;
      return [key, values.reduce((a, b) => (times(b) > times(a) ? b : a))];
    }),
  );
  const described = (run) => {
    const unusual = differing.filter(
      (key) => run.config.has(key) && run.config.get(key) !== usual.get(key),
    );
    const settings = unusual.map((key) => `${key} ${setting_text(run.config.get(key))}`).join(", ");
    return settings.length > 60 ? "" : settings || run.method;
  };
  const candidates = [
    (run) => run.label,
    (run) => (methods.length > 1 ? run.name : ""),
    (run) => telling(run) || run.method,
    described,
    (run) => run.directory.split("/").filter(Boolean).pop(),
  ];
  for (const candidate of candidates) {
    const names = methods.map((method) => new Set(method.runs.map(candidate)));
    const all = names.flatMap((set) => [...set]);
    if (!all.includes("") && all.length === methods.length && new Set(all).size === all.length) {
      methods.forEach((method, index) => (method.label = all[index]));
      return;
    }
  }
  methods.forEach((method, index) => (method.label = `method ${index + 1}`));
}

function build_model(data) {
  const runs = data.runs.map(build_run);
  const { methods, differing } = group_runs(runs);
  const all_same = (get) => runs.every((run) => get(run) === get(runs[0]));
  return {
    title: data.title,
    version: data.version,
    comparison: data.comparison,
    runs,
    methods,
    differing,
    live: data.live ?? null,
    of_text: runs.every((run) => run.unit === "token"),
    unit: all_same((run) => run.unit) && runs.length ? runs[0].unit : "example",
    clock: all_same((run) => run.clock) && runs.length ? runs[0].clock : "mixed",
    evaluated_on: all_same((run) => run.evaluated_on) && runs.length ? runs[0].evaluated_on : "",
  };
}

/// Takes what a run that goes on has become: whoever holds the model, or its run, has the new one.
function take_news(model, data) {
  const run = model.runs[0];
  const { of_method, title } = run;
  Object.assign(run, build_run(data.runs[0], 0), { of_method, title });
  model.live = data.live;
}

/// Points of one line from two lists; what has no number is left out.
function points_of(xs, ys) {
  const points = [];
  xs.forEach((x, i) => {
    if (is_number(x) && is_number(ys[i])) points.push({ x, y: ys[i] });
  });
  return points;
}

/// The y of a line at x, which is not outside of it.
function interpolate(points, x) {
  let [before, after] = [0, points.length - 1];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (points[middle].x <= x) before = middle;
    else after = middle;
  }
  const [a, b] = [points[before], points[after]];
  if (a.x === b.x) return b.y;
  return a.y + ((b.y - a.y) * (x - a.x)) / (b.x - a.x);
}

/// The mean of several lines and their range, where all of them have values: seeds do not evaluate
/// at exactly the same steps or times.
function mean_line(lines) {
  const present = lines.filter((points) => points.length > 0);
  if (present.length <= 1) return present[0] ?? [];
  const begin = Math.max(...present.map((points) => points[0].x));
  const end = Math.min(...present.map((points) => points[points.length - 1].x));
  const xs = [...new Set(present.flatMap((points) => points.map((point) => point.x)))];
  return xs
    .filter((x) => x >= begin && x <= end)
    .sort((a, b) => a - b)
    .map((x) => {
      const values = present.map((points) => interpolate(points, x));
      const mean = values.reduce((a, b) => a + b, 0) / values.length;
      return { x, y: mean, low: Math.min(...values), high: Math.max(...values) };
    });
}

/// How many of the updates in [[staleness, updates]...] had each staleness.
function add_histogram(counts, pairs) {
  for (const [staleness, count] of pairs) {
    counts.set(staleness, (counts.get(staleness) ?? 0) + count);
  }
  return counts;
}

function method_histogram(method) {
  const counts = new Map();
  for (const run of method.runs) {
    for (const [, pairs] of run.staleness_over_time) add_histogram(counts, pairs);
  }
  return counts;
}

const staleness_measures = {
  mean: (pairs) => {
    const total = pairs.reduce((sum, [, count]) => sum + count, 0);
    return pairs.reduce((sum, [staleness, count]) => sum + staleness * count, 0) / total;
  },
  "99th percentile": (pairs) => {
    const total = pairs.reduce((sum, [, count]) => sum + count, 0);
    let seen = 0;
    return pairs.find(([, count]) => (seen += count) >= 0.99 * total)[0];
  },
  maximum: (pairs) => pairs[pairs.length - 1][0],
};

/// What each worker that is shown did when: a list of {worker, from, to, kind, round} with the kinds
/// receiving, computing, sending, lost, away and paused; all other time was spent waiting.
function worker_activity(run) {
  const workers = Math.min(run.workers, 32);
  const activity = [];
  const add = (worker, from, to, kind, round) => {
    if (to > from) activity.push({ worker, from, to, kind, round });
  };
  for (const line of run.timeline.rounds) {
    const [worker, fate, base, version, staleness, steps, assigned, compute, settled, down, up] = line;
    const round = { worker, fate, base, version, staleness, steps, assigned, compute, settled };
    if (fate === "in_flight") {
      add(worker, assigned, settled, "computing", round);
      continue;
    }
    if (fate === "abandoned" || fate === "run_ended") {
      add(worker, assigned, settled, "lost", round);
      continue;
    }
    // On the wall clock a round waits for a free lane first; otherwise it begins at once.
    const late_begin = !run.paced && !run.synchronous;
    const begin = late_begin ? Math.max(assigned + down, settled - up - compute) : assigned + down;
    add(worker, assigned, Math.min(assigned + down, settled), "receiving", round);
    add(worker, begin, Math.min(begin + compute, settled), "computing", round);
    const computed = begin + compute;
    add(worker, computed, Math.min(computed + up, settled), "sending", round);
  }
  const end = run.timeline.until;
  const open = new Map();
  const close = (worker, time) => {
    const since = open.get(worker);
    if (since) add(worker, since.time, Math.min(time, end), since.kind, null);
    open.delete(worker);
  };
  for (const change of run.changes) {
    const pause = change.event === "pace" && change.seconds_per_step === 0;
    const kind = change.event === "leave" ? "away" : pause ? "paused" : null;
    // A pace that changes while the worker is away does not bring it back.
    if (change.event === "pace" && open.get(change.worker)?.kind === "away") continue;
    close(change.worker, change.clock_seconds);
    if (kind) open.set(change.worker, { time: change.clock_seconds, kind });
  }
  for (const worker of [...open.keys()]) close(worker, end);
  return { workers, activity, begin: run.timeline.from, end };
}

/// Each worker's quota over time: [{x, y}...], to the end of the run.
function quota_lines(run) {
  const count = Math.max(0, ...run.quotas.map(([, quotas]) => quotas.length));
  const times = run.evaluations.clock_seconds;
  const end = Math.max(run.timeline.until, times[times.length - 1] ?? 0);
  return Array.from({ length: count }, (_, worker) => {
    const points = run.quotas.map(([time, quotas]) => ({ x: time, y: quotas[worker] }));
    for (const change of run.changes) {
      if (change.worker === worker) points.push({ x: change.clock_seconds, y: change.quota });
    }
    points.sort((a, b) => a.x - b.x);
    const steps = points.filter((point, i) => i === 0 || point.y !== points[i - 1].y);
    if (steps.length > 0) steps.push({ x: end, y: steps[steps.length - 1].y });
    return steps;
  });
}

const fate_names = {
  applied: "applied",
  too_stale: "dropped as too stale",
  duplicate: "duplicate",
  abandoned: "abandoned: the worker left",
  run_ended: "cut off by the end of the run",
  in_flight: "under way",
};

function fate_name(fate) {
  return fate_names[fate] ?? `rejected: ${fate.replaceAll("_", " ")}`;
}

/// Mean and standard error of the numbers; the error is null of fewer than two.
function mean_and_error(values) {
  const numbers = values.filter(is_number);
  if (numbers.length === 0) return { mean: null, error: null };
  const mean = numbers.reduce((a, b) => a + b, 0) / numbers.length;
  if (numbers.length < 2) return { mean, error: null };
  const squares = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const error = Math.sqrt(squares / (numbers.length - 1) / numbers.length);
  return { mean, error: error > 1e-12 * Math.abs(mean) ? error : 0 }; // equal but for rounding
}

/// "1.2070 \u00b1 0.0011": two digits of the largest error in the column, and as many decimals of
/// the mean.
function with_error(quantity, { mean, error }, largest) {
  if (!is_number(error) || largest === 0) return quantity.text(mean);
  const share = quantity.text === percent_text;
  if (quantity.text === duration_text || quantity.text === bytes_text) {
    return `${quantity.text(mean)} \u00b1 ${quantity.text(error)}`;
  }
  const [value, deviation] = share ? [100 * mean, 100 * error] : [mean, error];
  const digits = 1 - Math.floor(Math.log10(share ? 100 * largest : largest));
  const decimals = Math.min(Math.max(digits, 0), 8);
  const text = `${value.toFixed(decimals)} \u00b1 ${deviation.toFixed(decimals)}`;
  return share ? `${text}\u202f%` : text;
}

/// Every number of a result: its name, a word of explanation, how to get it from a run, how to write
/// it. `averaged` ones are in the table of methods; `rare` ones are left out where all are 0.
function result_quantities(model) {
  const s = (get) => (run) => (run.summary ? get(run.summary) : null);
  const f = (key) => (run) => (run.final ? run.final[key] : null);
  const updates = (key) => s((summary) => summary.updates[key]);
  const unit = model.unit;
  const clock = model.clock === "mixed" ? "on the run's clock" : `on the ${model.clock} clock`;
  const list = [
    [
      "final loss",
      `nats per ${unit}, at the end; smaller is better`,
      f("loss"),
      loss_text,
      "averaged",
    ],
    ["perplexity", "e to the final loss", f("perplexity"), number_text, "averaged text"],
    [
      "bits per byte",
      "the final loss in bits for each byte of text",
      f("bits_per_byte"),
      number_text,
      "averaged text",
    ],
    [
      "accuracy",
      `share of ${unit}s whose most likely prediction was right, at the end`,
      f("accuracy"),
      percent_text,
      "averaged",
    ],
    [
      "top-5",
      `share of ${unit}s whose right class was among the five most likely, at the end`,
      f("top5"),
      percent_text,
      "averaged measured",
    ],
    [
      "best loss",
      "the lowest on the way: chosen by looking at the evaluation data, so compare by the final loss",
      s((x) => x.best && x.best.loss),
      loss_text,
    ],
    ["local steps", "of all updates that arrived", s((x) => x.local_steps), count_text],
    [`${unit}s`, "trained on, repetitions included", s((x) => x.tokens), short_count_text],
    [
      "epochs",
      "how many times that goes through the training data",
      s((x) => x.epochs),
      (x) => number_text(x, 3),
    ],
    [
      "versions",
      "how many times the server changed the parameters",
      s((x) => x.server_version),
      count_text,
      "averaged",
    ],
    [
      "run time",
      `${clock}, to the last update`,
      s((x) => x.clock_seconds),
      duration_text,
      "averaged",
    ],
    ["real time", "that this machine took", s((x) => x.wall_seconds), duration_text],
    [`${unit}s a second`, "of real time", s((x) => x.tokens_per_second), short_count_text],
    [
      "utilisation",
      "share of the workers' time that was local steps",
      s((x) => x.utilisation),
      percent_text,
      "averaged",
    ],
    [
      "mean staleness",
      "versions made while an update was being computed",
      s((x) => x.staleness.mean),
      (x) => number_text(x, 3),
      "averaged",
    ],
    ["median staleness", "", s((x) => x.staleness.p50), count_text],
    [
      "99\u202f% staleness",
      "99\u202f% of updates were at most so stale",
      s((x) => x.staleness.p99),
      count_text,
    ],
    ["max. staleness", "", s((x) => x.staleness.max), count_text, "averaged"],
    ["applied", "updates that were merged", updates("applied"), count_text],
    [
      "too stale",
      "updates dropped because of staleness.limit",
      updates("stale"),
      count_text,
      "rare",
    ],
    ["rejected", "updates that could not be used", updates("rejected"), count_text, "rare"],
    ["duplicate", "updates that came twice", updates("duplicate"), count_text, "rare"],
    ["cut off", "rounds on their way when the run ended", updates("run_ended"), count_text, "rare"],
    ["abandoned", "rounds of workers that left", updates("abandoned"), count_text, "rare"],
    [
      "late rounds",
      "finished after they were due: if there are many, the machine is too slow for these paces",
      s((x) => x.late.rounds),
      count_text,
      "rare",
    ],
    ["mean lateness", "of these rounds", s((x) => x.late.mean_seconds), duration_text, "rare"],
    [
      "evaluations skipped",
      "because another was still running",
      s((x) => x.evaluations_skipped),
      count_text,
      "rare",
    ],
    ["sent to workers", "parameters", s((x) => x.bytes.down), bytes_text],
    ["sent to server", "pseudo-gradients", s((x) => x.bytes.up), bytes_text],
    ["parameters", "of the model", s((x) => x.parameters), count_text],
  ];
  const quantities = list.map(([name, explanation, get, text, kind = ""]) => ({
    name,
    explanation,
    get,
    text,
    averaged: kind.includes("averaged"),
    rare: kind.includes("rare"),
    of_text: kind.includes("text"),
    if_measured: kind.includes("measured"),
  }));
  const is_shown = ({ get, of_text, if_measured }) =>
    (model.of_text || !of_text) && (!if_measured || model.runs.some((run) => is_number(get(run))));
  return quantities.filter(is_shown);
}

// -- trade-offs -----------------------------------------------------------------------------------

/// What a key is called where there is little room: "H", or what follows its dot.
function short_key(key) {
  return key === "quota.local_steps" ? "H" : key.split(".").pop();
}

/// What each run of a comparison came to in each setting: {run, label, values, result}. `values` are
/// those of the varied keys, and the budget where a run has several. A run that sets a varied key
/// itself comes to the same in several settings, and is there once.
function comparison_points(comparison) {
  const points = new Map();
  for (const result of comparison.results ?? []) {
    const { run, label, varied } = result;
    if (points.has(label)) continue;
    const budgets = comparison.results.filter((other) => other.run === run).map((r) => r.budget);
    const several = budgets.some((budget) => budget !== budgets[0]);
    const values = { ...varied, ...(several ? { budget: String(result.budget) } : {}) };
    points.set(label, { run, label, values, result });
  }
  return [...points.values()];
}

/// The keys with several values, those with the most numbers first.
function varied_keys(points) {
  const values = new Map();
  for (const point of points) {
    for (const [key, value] of Object.entries(point.values)) {
      values.set(key, (values.get(key) ?? new Set()).add(value));
    }
  }
  const numbers = (key) => [...values.get(key)].filter((x) => is_number(setting_value(x))).length;
  const keys = [...values.keys()].filter((key) => values.get(key).size > 1);
  return keys.sort((a, b) => numbers(b) - numbers(a));
}

/// Points of one run that differ in `key` alone, in the order of its values: {run, rest, points},
/// where `rest` says what else is varied, as text.
function tradeoff_lines(points, key) {
  const lines = new Map();
  for (const point of points) {
    const others = Object.entries(point.values).filter(([other]) => other !== key);
    const rest = others.map(([other, x]) => `${other} = ${setting_text(x)}`).join(", ");
    const identity = JSON.stringify([point.run, rest]);
    if (!lines.has(identity)) lines.set(identity, { run: point.run, rest, points: [] });
    lines.get(identity).points.push(point);
  }
  const order = (point) => setting_value(point.values[key] ?? "0");
  for (const line of lines.values()) {
    if (line.points.every((point) => is_number(order(point)))) {
      line.points.sort((a, b) => order(a) - order(b));
    }
  }
  return [...lines.values()];
}

/// Round numbers of a logarithmic axis, at least four if there can be.
function log_ticks(low, high) {
  const fine = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9];
  const choices = [[1], [1, 3], [1, 2, 5], [1, 2, 3, 4, 5, 7], fine];
  for (const factors of choices) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; ++power) {
      ticks.push(...factors.map((factor) => factor * 10 ** power));
    }
    const inside = ticks.filter((tick) => tick >= low && tick <= high);
    if (inside.length >= 4 || factors === fine) return inside;
  }
}
