"use strict";

// The arithmetic of the page: it only adds up the sums that the report was made with, exactly, as whole numbers.

const PARTS = ["calls", "unpriced", "estimated", "tokens", "input", "cache_read", "cache_write", "output", "reasoning"];
const CLASSES = PARTS.slice(4);
const OTHERS = "(all others)";
const NONE = "(none)";

function nothing() {
  return { ...Object.fromEntries(PARTS.map((part) => [part, 0])), cost: 0n, estimate: 0n };
}

function addTo(sums, cell) {
  for (const part of PARTS) sums[part] += cell[part];
  sums.cost += cell.cost;
  sums.estimate += cell.estimate;
  return sums;
}

const totalOf = (cells) => cells.reduce(addTo, nothing());

function groupedBy(cells, nameOf) {
  const groups = new Map();
  for (const cell of cells) {
    const name = nameOf(cell);
    if (!groups.has(name)) groups.set(name, nothing());
    addTo(groups.get(name), cell);
  }
  return groups;
}

function cellsOf(data) {
  const nameOf = (name, empty) => (name === null ? OTHERS : name || empty);
  return data.cells.map(([period, model, tags, ...sums]) => {
    const cell = Object.fromEntries(PARTS.map((part, place) => [part, sums[place]]));
    return {
      ...cell,
      period: data.periods[period],
      provider: nameOf(data.models[model][0], NONE),
      model: nameOf(data.models[model][1], NONE),
      tags: data.tags[tags].map((value, place) => nameOf(data.values[place][value], NONE)),
      cost: BigInt(sums[PARTS.length]),
      estimate: BigInt(sums[PARTS.length + 1]),
    };
  });
}

// Periods are named by their first day, as text; only the calendar of the page's own days is asked.
const dayOf = (text) => new Date(`${text}T00:00:00Z`);
const textOf = (day) => day.toISOString().slice(0, 10);

function periodOf(text, unit) {
  if (unit === "day") return text;
  if (unit === "month") return `${text.slice(0, 8)}01`;
  if (unit === "year") return `${text.slice(0, 4)}-01-01`;
  const day = dayOf(text);
  day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7));
  return textOf(day);
}

function periodsBetween(first, last, unit) {
  const found = [];
  const day = dayOf(periodOf(first, unit));
  while (textOf(day) <= last) {
    found.push(textOf(day));
    if (unit === "year") day.setUTCFullYear(day.getUTCFullYear() + 1);
    else if (unit === "month") day.setUTCMonth(day.getUTCMonth() + 1);
    else day.setUTCDate(day.getUTCDate() + (unit === "week" ? 7 : 1));
  }
  return found;
}

// Days, weeks, months or years: never more bars than can be told apart, and never finer than the sums are.
function unitFor(first, last, finest) {
  const days = (dayOf(last) - dayOf(first)) / 86400000 + 1;
  const wanted = days <= 62 ? "day" : days <= 420 ? "week" : days <= 1900 ? "month" : "year";
  const units = ["day", "week", "month", "year"];
  return units[Math.max(units.indexOf(wanted), units.indexOf(finest))];
}

function selected(cells, filter, unit) {
  const from = filter.from && periodOf(filter.from, unit);
  return cells.filter(
    (cell) =>
      (!from || cell.period >= from) &&
      (!filter.to || cell.period <= filter.to) &&
      (!filter.model || cell.model === filter.model) &&
      filter.tags.every((value, place) => !value || cell.tags[place] === value)
  );
}

// What was spent, or null where nothing of it is known: unknown is not zero.
function spentOf(sums) {
  const spent = sums.cost + sums.estimate;
  return spent === 0n && sums.unpriced > 0 && sums.unpriced >= sums.calls ? null : spent;
}

function withCommas(digits) {
  return digits.replace(/\B(?=(\d{3})+$)/g, ",");
}

function rounded(amount, divisor) {
  const whole = amount / divisor;
  const rest = (amount % divisor) * 2n;
  return rest > divisor || (rest === divisor && whole % 2n === 1n) ? whole + 1n : whole;
}

// As the report shows money: cents from one cent on, two digits of what is less.
function costText(amount, scale) {
  if (amount === null) return "unknown";
  const one = 10n ** BigInt(scale);
  const sign = amount < 0n ? "-" : "";
  const size = amount < 0n ? -amount : amount;
  const wanted = size === 0n || size * 100n >= one ? 2 : 1 + scale - size.toString().length + 1;
  const digits = size * 10n ** BigInt(Math.max(wanted - scale, 0));
  const number = rounded(digits, 10n ** BigInt(Math.max(scale - wanted, 0))).toString().padStart(wanted + 1, "0");
  const cents = number.slice(-wanted);
  const text = `${withCommas(number.slice(0, -wanted))}.${wanted > 2 ? cents.replace(/0+$/, "") : cents}`;
  return `$${sign}${text}`;
}

const numberOf = (amount, scale) => Number(amount) / 10 ** scale;

// The exact amount, for programs.
function plainText(amount, scale) {
  const sign = amount < 0n ? "-" : "";
  const digits = (amount < 0n ? -amount : amount).toString().padStart(scale + 1, "0");
  return sign + (scale ? `${digits.slice(0, -scale)}.${digits.slice(-scale)}` : digits);
}

// A spreadsheet would run a cell that begins like this as a formula; the apostrophe in front prevents that.
function csvCell(value) {
  const text = String(value);
  const safe = typeof value === "string" && /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csvOf(data, cells) {
  const head = [data.unit, "provider", "model", ...data.tagNames, ...PARTS, "cost", "estimated_cost"];
  const lines = cells.map((cell) => [
    cell.period,
    cell.provider,
    cell.model,
    ...cell.tags.map((value) => (value === NONE ? "" : value)),
    ...PARTS.map((part) => cell[part]),
    { toString: () => (spentOf(cell) === null ? "" : plainText(cell.cost, data.scale)) },
    { toString: () => (cell.estimated ? plainText(cell.estimate, data.scale) : "") },
  ]);
  return [head, ...lines].map((line) => `${line.map(csvCell).join(",")}\r\n`).join("");
}
