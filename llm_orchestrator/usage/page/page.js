"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const cells = cellsOf(data);
const form = document.getElementById("filters");
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b5a900", "#8a8a8a"];
const CLASS_NAMES = ["new input", "cache reads", "cache writes", "output", "reasoning"];
const MOST_SHOWN = 12;
const MOST_STACKED = 7;

const count = (number) => number.toLocaleString("en-US");
const money = (amount) => costText(amount, data.scale);
const calls = (number) => `${count(number)} ${number === 1 ? "call" : "calls"}`;
const percent = (part, whole) => `${((part / whole) * 100).toFixed(part / whole < 0.0995 ? 1 : 0)} %`;
const short = (name) => (name.length <= 36 ? name : `${name.slice(0, 24)}…${name.slice(-10)}`);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------------------------------ charts

const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();
let onPaper = false;

function inks() {
  return dark.matches && !onPaper
    ? { ink: "#e8ebee", faint: "#a6b0ba", line: "#3a424a" }
    : { ink: "#1c2024", faint: "#55606a", line: "#d9dee3" };
}

const dollars = (value) => `$${value.toLocaleString("en-US", { maximumSignificantDigits: 6 })}`;

function draw(id, make) {
  const canvas = document.getElementById(id);
  if (!canvas) return;
  drawn.get(id)?.chart.destroy();
  const { ink, faint, line } = inks();
  Chart.defaults.color = ink;
  Chart.defaults.borderColor = line;
  Chart.defaults.font.family = "system-ui, sans-serif";
  const { label, options, ...config } = make();
  const base = { animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false } };
  const plugins = {
    legend: { position: "bottom", labels: { boxWidth: 14, usePointStyle: true } },
    tooltip: { filter: (item) => item.raw !== null && item.raw !== 0, callbacks: { label: tooltip } },
  };
  const axes = Object.fromEntries(
    Object.entries(options.scales).map(([name, axis]) => [name, { ...axis, title: { ...axis.title, color: faint } }])
  );
  canvas.setAttribute("aria-label", label);
  const chart = new Chart(canvas, { ...config, options: { ...base, plugins, ...options, scales: axes } });
  drawn.set(id, { chart, make });
}

function tooltip(item) {
  const texts = item.dataset.texts;
  return `${item.dataset.label}: ${texts ? texts[item.dataIndex] : count(item.raw)}`;
}

function redraw() {
  for (const [id, { make }] of [...drawn]) draw(id, make);
}

// A sheet of paper is as wide as it is, whatever the window was; page.css has the same height for it.
function toPaper(is) {
  onPaper = is;
  redraw();
  if (is) for (const { chart } of drawn.values()) chart.resize(680, 230);
}

dark.addEventListener("change", redraw);
addEventListener("beforeprint", () => toPaper(true));
addEventListener("afterprint", () => toPaper(false));

const line = (label, values, texts, colour, more = {}) => ({
  type: "line", label, data: values, texts, borderColor: colour, backgroundColor: colour, yAxisID: "sum",
  borderWidth: 2, pointRadius: 0, pointStyle: "line", order: 0, ...more,
});
const bar = (label, values, texts, colour, more = {}) => ({
  type: "bar", label, data: values, texts, backgroundColor: colour, pointStyle: "rect", order: 1, ...more,
});
const moneyAxis = (text, position, more = {}) => ({
  position, beginAtZero: true, title: { display: true, text }, ticks: { callback: dollars, maxTicksLimit: 7 }, ...more,
});

function monthChart() {
  const month = data.month;
  const { ink, faint } = inks();
  const lines = [
    line(`sum of ${month.name}`, month.sums, month.texts.sums, ink),
    line(`sum of ${month.before_name}`, month.before, month.texts.before, faint, { borderWidth: 1.5 }),
    line("forecast", month.forecast, month.texts.forecast, "#d55e00", { borderDash: [6, 4] }),
    line("budget", month.budget, month.texts.budget, "#cc79a7", { borderDash: [2, 3] }),
  ].filter(({ data }) => data.some((value) => value !== null));
  return {
    label: month.label,
    type: "bar",
    data: { labels: month.days, datasets: [bar("spent that day", month.spent, month.texts.spent, COLOURS[0]), ...lines] },
    options: {
      scales: {
        x: { grid: { display: false }, title: { display: true, text: `day of ${month.name}` } },
        y: moneyAxis("a day", "left"),
        sum: moneyAxis(`sum since ${month.since}`, "right", { grid: { display: false } }),
      },
    },
  };
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

function periodName(text, unit) {
  const [year, month, day] = text.split("-").map(Number);
  const name = MONTHS[month - 1];
  if (unit === "year") return String(year);
  return unit === "month" ? `${name} ${year}` : unit === "week" ? `${day} ${name} ${year}` : `${day} ${name}`;
}

const unitNames = { day: "a day", week: "a week", month: "a month", year: "a year" };

function spendChart(found, filter) {
  const unit = unitFor(filter.from, filter.to, data.unit);
  const periods = periodsBetween(filter.from, filter.to, unit);
  const nameOf = nameBy(document.getElementById("by").value);
  const ranked = ranking(groupedBy(found, nameOf)).map(([name]) => name);
  const leading = ranked.length > MOST_STACKED + 1 ? ranked.slice(0, MOST_STACKED) : ranked;
  const stackOf = (cell) => (leading.includes(nameOf(cell)) ? nameOf(cell) : "others together");
  const stacks = groupedBy(found, stackOf);
  const byBoth = groupedBy(found, (cell) => `${periodOf(cell.period, unit)} ${stackOf(cell)}`);
  const amount = (period, name) => {
    const sums = byBoth.get(`${period} ${name}`);
    return sums ? sums.cost + sums.estimate : 0n;
  };
  const bars = [...leading, "others together"]
    .filter((name) => stacks.has(name))
    .map((name, place) => {
      const amounts = periods.map((period) => amount(period, name));
      return bar(short(name), amounts.map((value) => numberOf(value, data.scale)), amounts.map(money), COLOURS[Math.min(place, 7)], { stack: "spent" });
    });
  const byPeriod = groupedBy(found, (cell) => periodOf(cell.period, unit));
  let sum = 0n;
  const sums = periods.map((period) => {
    const one = byPeriod.get(period);
    return (sum += one ? one.cost + one.estimate : 0n);
  });
  const total = line("sum", sums.map((value) => numberOf(value, data.scale)), sums.map(money), inks().ink);
  return {
    label: `Bars: what was spent ${unitNames[unit]}, from ${filter.from} to ${filter.to}; the line: their sum, ${money(spentOf(totalOf(found)))} at the end.`,
    type: "bar",
    data: { labels: periods.map((period) => periodName(period, unit)), datasets: [...bars, total] },
    options: {
      scales: {
        x: { stacked: true, grid: { display: false }, ticks: { autoSkip: true, maxRotation: 45 } },
        y: moneyAxis(unitNames[unit], "left", { stacked: true }),
        sum: moneyAxis("sum", "right", { grid: { display: false } }),
      },
    },
  };
}

function sideways(labels, datasets, label, axis, stacked) {
  return {
    label, type: "bar",
    data: { labels: labels.map(short), datasets },
    options: {
      indexAxis: "y",
      interaction: { mode: "index", axis: "y", intersect: false },
      scales: { x: { stacked, beginAtZero: true, ...axis }, y: { stacked, grid: { display: false } } },
    },
  };
}

function tokensChart(found) {
  const total = (sums) => CLASSES.reduce((all, name) => all + sums[name], 0);
  const groups = [...groupedBy(found, ({ model }) => model)]
    .filter(([, sums]) => total(sums))
    .sort(([, one], [, other]) => total(other) - total(one))
    .slice(0, MOST_SHOWN);
  const datasets = CLASSES.map((name, place) =>
    bar(CLASS_NAMES[place], groups.map(([, sums]) => sums[name]), null, COLOURS[[0, 4, 2, 1, 5][place]])
  ).filter(({ data }) => data.some(Boolean));
  const axis = { title: { display: true, text: "tokens" }, ticks: { callback: (value) => count(value), maxTicksLimit: 6 } };
  return sideways(groups.map(([name]) => name), datasets, "Tokens of each model by class; the table of models has their sums.", axis, true);
}

function latencyChart(filter) {
  const known = data.speed.filter(({ model, median }) => median !== null && (!filter.model || model === filter.model));
  const shown = known.slice(0, MOST_SHOWN);
  const texts = (name) => shown.map((speed) => `${speed[name].toPrecision(2)} s`);
  const datasets = [
    bar("half of the answers within", shown.map(({ median }) => median), texts("median"), COLOURS[0]),
    bar("95 % within", shown.map(({ most }) => most), texts("most"), COLOURS[4]),
  ];
  const axis = { title: { display: true, text: "seconds" }, ticks: { maxTicksLimit: 6 } };
  return sideways(shown.map(({ model }) => model), datasets, "Seconds that half and 95 % of each model's answers took; the table below has them.", axis, false);
}

// ------------------------------------------------------------------------------------------ tables

const nameBy = (kind) =>
  kind === "model" || kind === "provider" ? (cell) => cell[kind] : (cell) => cell.tags[Number(kind)];

// The most expensive first, what is unknown last.
function ranking(groups) {
  const order = ([, sums]) => spentOf(sums) ?? -1n;
  return [...groups].sort((one, other) => (order(other) > order(one) ? 1 : order(other) < order(one) ? -1 : other[1].calls - one[1].calls));
}

const ratio = (part, whole) => (part === null || whole <= 0n ? null : Number((part * 10000n) / whole) / 10000);

function row(name, sums, all, most) {
  const spent = spentOf(sums);
  const share = ratio(spent, all);
  return [
    { text: name, value: name },
    { text: "", bar: ratio(spent, most) ?? 0 },
    { text: money(spent), value: spent ?? -1n, gap: spent === null },
    { text: share === null ? "" : percent(share, 1), value: share ?? -1 },
    { text: sums.estimated ? money(sums.estimate) : "", value: sums.estimate },
    { text: sums.unpriced ? calls(sums.unpriced) : "", value: sums.unpriced, gap: sums.unpriced > 0 },
    { text: count(sums.calls), value: sums.calls },
    { text: sums.tokens ? count(sums.tokens) : "", value: sums.tokens },
  ];
}

const COLUMNS = ["", "", "spent", "share", "of it estimated", "without a price", "calls", "tokens"];

function showTable(place, title, groups, ranked = ranking(groups)) {
  const amounts = [...groups.values()].map(({ cost, estimate }) => cost + estimate);
  const all = amounts.reduce((sum, amount) => sum + amount, 0n);
  const most = amounts.reduce((one, other) => (one > other ? one : other), 0n);
  const rows = [...ranked].map(([name, sums]) => row(name, sums, all, most));
  const used = COLUMNS.map((_, column) => column).filter((column) => rows.some((cells) => cells[column].text || cells[column].bar));
  const heads = used.map((column) =>
    column === 1
      ? element("td", { class: "bar" })
      : element("th", { scope: "col", "aria-sort": ranked === groups || column !== 2 ? "none" : "descending" }, element("button", { type: "button" }, COLUMNS[column] || title.toLowerCase()))
  );
  const body = element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...used.map((column) => cellOf(cells[column], column)))));
  const table = element("table", {}, element("caption", {}, `By ${title} (${count(rows.length)})`), element("thead", {}, element("tr", {}, ...heads)), body);
  place.replaceChildren(element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Costs by ${title}` }, table));
  if (ranked !== groups) fold(place, body);
}

function cellOf(cell, column) {
  const made = element(column ? "td" : "th", column ? {} : { scope: "row" }, cell.bar === undefined ? cell.text : "");
  made.dataset.value = cell.value;
  if (cell.gap) made.className = "gap";
  if (cell.bar !== undefined) {
    made.className = "bar";
    made.setAttribute("aria-hidden", "true");
    const mark = element("i");
    mark.style.width = `${cell.bar * 100}%`;
    if (cell.bar) made.append(mark);
  }
  return made;
}

// A long table shows its first rows, and a button the others.
function fold(place, body) {
  const hide = () => [...body.rows].forEach((line, number) => (line.hidden = number >= MOST_SHOWN));
  if (body.rows.length <= MOST_SHOWN) return;
  hide();
  body.dataset.folded = "true";
  const button = element("button", { type: "button", class: "more" }, `Show all ${count(body.rows.length)}`);
  button.addEventListener("click", () => {
    delete body.dataset.folded;
    for (const line of body.rows) line.hidden = false;
    button.remove();
  });
  place.append(button);
}

// A click on a heading sorts by that column, a second one the other way round.
function sort(heading) {
  const line = heading.parentElement;
  const place = [...line.children].indexOf(heading);
  const body = line.closest("table").tBodies[0];
  const ascending = heading.getAttribute("aria-sort") === "descending";
  const valueOf = (one) => one.cells[place].dataset.value;
  const compare = place
    ? (one, other) => Number(valueOf(one)) - Number(valueOf(other))
    : (one, other) => valueOf(one).localeCompare(valueOf(other));
  const lines = [...body.rows].sort(compare);
  body.append(...(ascending ? lines : lines.reverse()));
  if (body.dataset.folded) lines.forEach((_, number) => (body.rows[number].hidden = number >= MOST_SHOWN));
  for (const other of line.querySelectorAll("th")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (button) sort(button.parentElement);
});

// ------------------------------------------------------------------------------------------ filters

function options(select, names) {
  for (const name of names) select.append(element("option", { value: name }, short(name)));
}

function currentFilter() {
  const value = (name) => form.elements[name]?.value ?? "";
  return {
    from: value("from") || data.first,
    to: value("to") || data.last,
    model: value("model"),
    tags: data.tagNames.map((_, place) => value(`tag-${place}`)),
  };
}

function show() {
  const filter = currentFilter();
  const found = selected(cells, filter, data.unit);
  const sums = totalOf(found);
  const lacking = sums.unpriced ? `; ${calls(sums.unpriced)} without a price are not in it` : "";
  document.getElementById("shown").textContent =
    `${money(spentOf(sums))} for ${calls(sums.calls)} and ${count(sums.tokens)} tokens, ${filter.from} to ${filter.to}${lacking}.`;
  const any = found.length > 0 && filter.from <= filter.to;
  document.getElementById("found").hidden = !any;
  document.getElementById("none").hidden = any;
  if (any) showFound(found, filter);
}

function showFound(found, filter) {
  draw("spend", () => spendChart(found, filter));
  data.tagNames.forEach((name, place) => showTable(document.getElementById(`by-tag-${place}`), name, groupedBy(found, nameBy(String(place)))));
  showTable(document.getElementById("by-model"), "model", groupedBy(found, ({ model }) => model));
  const providers = groupedBy(found, ({ provider }) => provider);
  showTable(document.getElementById("by-provider"), "provider", providers);
  document.getElementById("by-provider").hidden = providers.size < 2;
  const unit = unitFor(filter.from, filter.to, data.unit);
  const periods = new Map([...groupedBy(found, (cell) => periodOf(cell.period, unit))].sort(([one], [other]) => (one < other ? -1 : 1)));
  showTable(document.getElementById("by-period"), unit, periods, periods);
  document.getElementById("tokens-part").hidden = !found.some((cell) => CLASSES.some((name) => cell[name]));
  draw("tokens", () => tokensChart(found));
  if (data.speed.some(({ median }) => median !== null)) draw("latency", () => latencyChart(filter));
  for (const line of document.querySelectorAll("#speed tbody tr")) {
    line.hidden = Boolean(filter.model) && line.cells[0].textContent !== filter.model;
  }
}

function download() {
  const text = csvOf(data, selected(cells, currentFilter(), data.unit));
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "costs.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function begin() {
  if (data.month) draw("month", monthChart);
  if (!form) return;
  const models = ranking(groupedBy(cells, ({ model }) => model)).map(([name]) => name);
  options(form.elements.model, models);
  data.tagNames.forEach((_, place) => {
    options(form.elements[`tag-${place}`], ranking(groupedBy(cells, nameBy(String(place)))).map(([name]) => name));
  });
  for (const [name, day] of [["from", data.first], ["to", data.last]]) {
    form.elements[name].defaultValue = day;
    form.elements[name].min = data.first;
    form.elements[name].max = data.last;
  }
  form.addEventListener("change", show);
  document.getElementById("by").addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(show));
  document.getElementById("csv").addEventListener("click", download);
  show();
}

begin();
document.documentElement.dataset.ready = "true";
