// Charts: Chart.js draws each `figure[data-figure]` in the page's colours, light or dark. The table beside it says the same.

const drawn = new Map();
const dark = matchMedia("(prefers-color-scheme: dark)");

const SIZES = [["G", 1e9], ["M", 1e6], ["k", 1e3]];
const count = (value) => {
  const [unit, size] = SIZES.find(([, least]) => Math.abs(value) >= (least > 1000 ? least : 10 * least)) ?? ["", 1];
  return size === 1 ? (+value.toFixed(1)).toLocaleString("en") : `${+(value / size).toFixed(1)} ${unit}`;
};
const dollars = (value) => {
  if (value === 0) return "$0";
  if (Math.abs(value) >= 1) return `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return `$${+value.toPrecision(2) >= 1e-6 ? +value.toFixed(Math.min(12, 1 - Math.floor(Math.log10(Math.abs(value))))) : value.toPrecision(2)}`;
};
const WORDS = {
  count,
  usd: dollars,
  ms: (value) => (value >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${value.toFixed(0)} ms`),
  share: (value) => `${(value * 100).toFixed(1)} %`,
  number: (value) => `${+value.toPrecision(4)}`,
};

/** A value for people, as the server writes it; a dash where there is none. */
export const words = (value, unit) => (value === null || value === undefined ? "–" : WORDS[unit](value));

/** A time as it stands below a chart. */
export const shortened = (time) => (time.includes("T") ? time.slice(11, 16) : time);

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const toneOf = (series, place) => colour(series.tone || `c${place % 6}`);

function axes(figure, quiet, line) {
  const ticks = { color: quiet, maxRotation: 0, autoSkipPadding: 16 };
  const values = {
    stacked: figure.kind === "columns" && figure.stacked,
    beginAtZero: figure.kind !== "intervals",
    grid: { color: line },
    border: { display: false },
    ticks: { ...ticks, maxTicksLimit: 5, callback: (value) => WORDS[figure.unit](value) },
  };
  const named = (value) => figure.shorts[value] ?? figure.labels[value];
  const labels = { stacked: values.stacked, grid: { display: false }, border: { color: line }, ticks: { ...ticks } };
  if (figure.kind === "intervals") return { x: values, y: { ...labels, ticks: { ...ticks, autoSkip: false } } };
  labels.ticks.callback = named;
  return { x: labels, y: values };
}

function datasets(figure) {
  if (figure.kind === "intervals") return ofIntervals(figure);
  const sets = figure.series.map((series, place) => {
    const tone = toneOf(series, place);
    const common = { label: series.name, data: [...series.values], backgroundColor: tone, borderColor: tone, order: 2 };
    if (figure.kind === "columns") return { ...common, categoryPercentage: 0.9, barPercentage: 0.95 };
    return { ...common, borderWidth: 2, pointRadius: ({ dataIndex }) => radius(series.values, dataIndex), pointHitRadius: 8, tension: 0 };
  });
  if (!figure.marks.length) return sets;
  const tops = figure.labels.map((_, place) => heightAt(figure, place));
  const data = figure.labels.map((label, place) => {
    const mark = figure.marks.find((each) => each.label === label);
    return mark ? (mark.value ?? tops[place]) : null;
  });
  const tone = colour("bad");
  const points = { pointStyle: "triangle", pointRadius: 7, pointHoverRadius: 9, showLine: false, order: 1 };
  return [...sets, { label: "Anomalies", type: "line", data, backgroundColor: tone, borderColor: tone, stack: "marks", ...points }];
}

/** A point that no line leads to is seen by itself; of many on a line none is. */
function radius(values, at) {
  const there = (place) => values[place] !== null && values[place] !== undefined;
  return values.length <= 40 || (!there(at - 1) && !there(at + 1)) ? 2 : 0;
}

function heightAt(figure, place) {
  const values = figure.series.map((series) => series.values[place] ?? 0);
  return figure.kind === "columns" && figure.stacked ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values);
}

function ofIntervals(figure) {
  const known = (one) => one.low !== null && one.high !== null;
  const side = ({ low, high }) => (figure.against === null || (low <= figure.against && high >= figure.against) ? "c5" : "c0");
  const tones = figure.intervals.map((one) => colour(known(one) ? side(one) : "c5"));
  const ranges = figure.intervals.map((one) => (known(one) ? [one.low, one.high] : null));
  const ink = colour("ink");
  return [
    { label: "Interval", data: ranges, backgroundColor: tones, barThickness: 12, borderRadius: 6, borderSkipped: false, order: 2 },
    { label: "Estimate", type: "line", showLine: false, data: figure.intervals.map((one) => one.point), pointRadius: 5, backgroundColor: ink, borderColor: ink, order: 1 },
  ];
}

/** The line that intervals are held against. */
const against = {
  id: "against",
  afterDatasetsDraw(chart) {
    const at = chart.config.options.against;
    if (at === null || at === undefined) return;
    const { ctx, chartArea, scales } = chart;
    const x = scales.x.getPixelForValue(at);
    if (x < chartArea.left || x > chartArea.right) return;
    ctx.save();
    ctx.strokeStyle = colour("ink");
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(x, chartArea.top);
    ctx.lineTo(x, chartArea.bottom);
    ctx.stroke();
    ctx.restore();
  },
};

function said(figure, item) {
  const mark = item.dataset.label === "Anomalies" && figure.marks.find((each) => each.label === figure.labels[item.dataIndex]);
  if (mark) return mark.text;
  if (figure.kind === "intervals") {
    const { low, point, high } = figure.intervals[item.dataIndex];
    return `${words(point, figure.unit)} (${words(low, figure.unit)} to ${words(high, figure.unit)})`;
  }
  return `${item.dataset.label}: ${words(item.raw, figure.unit)}`;
}

function options(figure) {
  const [ink, quiet, line, card] = ["ink", "quiet", "line", "card"].map(colour);
  const legend = figure.kind !== "intervals" && figure.series.length + figure.marks.length > 1;
  return {
    responsive: true,
    maintainAspectRatio: false,
    animation: false,
    indexAxis: figure.kind === "intervals" ? "y" : "x",
    interaction: { mode: "index", intersect: false, axis: figure.kind === "intervals" ? "y" : "x" },
    against: figure.against,
    scales: axes(figure, quiet, line),
    plugins: {
      legend: { display: legend, position: "bottom", labels: { color: ink, usePointStyle: true, boxHeight: 8 } },
      tooltip: {
        backgroundColor: card,
        titleColor: ink,
        bodyColor: ink,
        footerColor: ink,
        borderColor: line,
        borderWidth: 1,
        usePointStyle: true,
        filter: (item, place) => item.raw !== null && (figure.kind !== "intervals" || place === 0),
        callbacks: { title: ([first]) => figure.labels[first?.dataIndex] ?? figure.intervals[first?.dataIndex]?.name, label: (item) => said(figure, item) },
      },
    },
  };
}

/** Draws a figure into its canvas; again, with other values, into the chart that is there. */
export function draw(place, figure) {
  const canvas = place.querySelector("canvas");
  const whole = { marks: [], intervals: [], shorts: [], series: [], against: null, stacked: true, ...figure };
  if (whole.kind === "intervals") whole.labels = whole.intervals.map((one) => one.name);
  const known = drawn.get(place);
  const data = { labels: whole.labels, datasets: datasets(whole) };
  if (!known) {
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    const type = whole.kind === "lines" ? "line" : "bar";
    drawn.set(place, { figure: whole, chart: new Chart(canvas, { type, data, options: options(whole), plugins: [against] }) });
    return;
  }
  known.figure = whole;
  Object.assign(known.chart.data, data);
  known.chart.options = options(whole);
  known.chart.update("none");
}

/** What is drawn at a place. */
export const figureAt = (place) => drawn.get(place)?.figure ?? JSON.parse(place.dataset.figure);

for (const place of document.querySelectorAll("figure[data-figure]")) draw(place, JSON.parse(place.dataset.figure));
dark.addEventListener("change", () => {
  for (const [place, { figure }] of drawn) draw(place, figure);
});
