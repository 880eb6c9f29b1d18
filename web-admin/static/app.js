// What pages do beyond links and forms. Every page works without it.
"use strict";

// On a small screen the navigation opens and closes.
for (const menu of document.querySelectorAll("nav.side > details.menu")) {
  const set = () => menu.parentElement.classList.toggle("open", menu.open);
  menu.addEventListener("toggle", set);
  set();
}

// Forms that say so are sent as soon as something in them is chosen; their button is for who has no scripts.
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-send-on-change]");
  if (form) form.requestSubmit();
});

// Buttons that can't be taken back ask first.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.ask ?? event.target.dataset.ask;
  if (question && !window.confirm(question)) event.preventDefault();
}, true);

// Copies the text that a button names.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  if (source && navigator.clipboard) navigator.clipboard.writeText(source.textContent.trim());
});

// Answers that say what went wrong are shown where the good one would have been.
document.addEventListener("htmx:beforeSwap", (event) => {
  const status = event.detail.xhr.status;
  if (status >= 400 && status < 600 && status !== 401) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
  if (status === 401) window.location.reload();
});

// Charts: the numbers are in the page, in a table; `data-chart` has them again for drawing.
function draw(figure) {
  if (!window.uPlot || figure.dataset.drawn) return;
  figure.dataset.drawn = "yes";
  const { times, series, zone, time } = JSON.parse(figure.dataset.chart);
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", timeZone: zone });
  const hour = (seconds) => (seconds == null ? "–" : clock.format(new Date(seconds * 1000)));
  // Canvases know no `var()`: the colour that it comes to in this theme is asked of an element that has it.
  const colour = (name) => {
    figure.style.color = `var(${name})`;
    const found = getComputedStyle(figure).color;
    figure.style.color = "";
    return found;
  };
  const options = {
    width: figure.clientWidth,
    height: 220,
    tzDate: (seconds) => (zone ? window.uPlot.tzDate(new Date(seconds * 1000), zone) : new Date(seconds * 1000)),
    cursor: { drag: { x: false, y: false } },
    legend: { live: true },
    axes: [
      { stroke: colour("--text-quiet"), grid: { stroke: colour("--line"), width: 1 },
        values: (_, seconds) => seconds.map(hour) },
      { stroke: colour("--text-quiet"), grid: { stroke: colour("--line"), width: 1 }, size: 60,
        values: (_, values) => values.map((value) => value.toLocaleString()) },
    ],
    series: [{ label: time ?? "", value: (_, seconds) => hour(seconds) }].concat(series.map((one, place) => ({
      label: one.label,
      stroke: colour(`--series-${(place % 6) + 1}`),
      fill: place === 0 ? colour("--series-fill") : undefined,
      width: 2,
      points: { show: false },
    }))),
  };
  const chart = new window.uPlot(options, [times].concat(series.map((one) => one.values)), figure);
  new ResizeObserver(() => chart.setSize({ width: figure.clientWidth, height: 220 })).observe(figure);
}
const drawAll = (root) => root.querySelectorAll("figure[data-chart]").forEach(draw);
document.addEventListener("DOMContentLoaded", () => drawAll(document));
document.addEventListener("htmx:afterSwap", (event) => drawAll(event.target));

// What ends by itself says how long it still lasts.
function countDown() {
  for (const left of document.querySelectorAll("[data-seconds]")) {
    // From when the page was made: the clock of this device may be wrong.
    const minutes = Math.ceil((left.dataset.seconds - performance.now() / 1000) / 60);
    left.textContent = minutes > 0 ? left.dataset.left.replace("%", minutes) : left.dataset.over;
  }
}
setInterval(countDown, 10000);

// While the box can't be reached, what follows it says so.
document.addEventListener("htmx:sseError", (event) => event.target.classList.add("stale"));
document.addEventListener("htmx:sseOpen", (event) => event.target.classList.remove("stale"));

// What somebody has opened to read is not replaced under their eyes.
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const part = event.target;
  if (part.matches("[data-keep-open]") && part.querySelector("details[open]")) event.preventDefault();
});

// A list that grows at its top loses its end.
document.addEventListener("htmx:sseMessage", (event) => {
  const most = Number(event.target.dataset.most);
  while (most && event.target.children.length > most) event.target.lastElementChild.remove();
});

// A time of the week is drawn: from where the pointer goes down to where it goes up. It fills the first empty row.
for (const week of document.querySelectorAll("[data-week-form] .week")) {
  const form = week.closest("form");
  const place = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(week.getScreenCTM().inverse());
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    return { day: within(Math.floor((at.y - 18) / 20), 6), quarter: within(Math.floor((at.x - 44) / 27 * 4), 95) };
  };
  const clock = (quarter) => `${String(Math.floor(quarter / 4) % 24).padStart(2, "0")}:${String(quarter % 4 * 15).padStart(2, "0")}`;
  let first = null;
  let drawn = [];
  const draw = (last) => {
    drawn.forEach((rect) => rect.remove());
    const [top, bottom] = [first.day, last.day].sort();
    const [from, to] = [first.quarter, last.quarter].sort((a, b) => a - b);
    drawn = [];
    for (let day = top; day <= bottom; day++) {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const size = { class: "time", x: 44 + from * 27 / 4, y: 20 + day * 20, width: (to + 1 - from) * 27 / 4, height: 16, rx: 3 };
      for (const [name, value] of Object.entries(size)) rect.setAttribute(name, value);
      week.append(rect);
      drawn.push(rect);
    }
    return { top, bottom, from, to: to + 1 };
  };
  week.addEventListener("pointerdown", (event) => {
    first = place(event);
    week.setPointerCapture(event.pointerId);
    draw(first);
  });
  week.addEventListener("pointermove", (event) => { if (first) draw(place(event)); });
  week.addEventListener("pointerup", (event) => {
    if (!first) return;
    const time = draw(place(event));
    first = null;
    const rows = [...form.querySelectorAll("fieldset.times")];
    const row = rows.find((one) => !one.querySelector("input:checked") && [...one.querySelectorAll("input[type=time]")].every((input) => !input.value));
    if (!row) { drawn.forEach((rect) => rect.remove()); drawn = []; return; }
    row.querySelectorAll("input[type=checkbox]").forEach((box, day) => { box.checked = day >= time.top && day <= time.bottom; });
    const [from, to] = row.querySelectorAll("input[type=time]");
    from.value = clock(time.from);
    to.value = clock(time.to);
    drawn = [];
  });
}

// A file that is chosen is read into the text beside it, which is what is sent.
document.addEventListener("change", async (event) => {
  const into = event.target.dataset?.into && document.querySelector(event.target.dataset.into);
  if (into && event.target.files?.length) into.value = await event.target.files[0].text();
});

// Beside the categories, what is left as it is needs no new page.
document.addEventListener("click", (event) => {
  const leave = event.target.closest("[data-clear]");
  if (!leave || !document.querySelector(".matrix")) return;
  event.preventDefault();
  document.querySelector(leave.dataset.clear)?.replaceChildren();
}, true);
