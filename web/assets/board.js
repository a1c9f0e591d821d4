// The board under the hand: keys, selection, marks, orders. What is selected stays so while rows come and go.
"use strict";

const study = document.body.dataset.study;
const rows = document.getElementById("rows");
const selection = document.getElementById("selection");
const MOST = 10;

// Changes the view without a new page: the address says it, and the rows follow.
function show(changes) {
  const address = new URL(location.href);
  address.searchParams.delete("offset");
  for (const [name, value] of Object.entries(changes)) {
    if (value) address.searchParams.set(name, value);
    else address.searchParams.delete(name);
  }
  history.replaceState(null, "", address);
  document.dispatchEvent(new Event("shown"));
}

document.addEventListener("brushed", (event) => {
  document.querySelector(".expression").value = event.detail;
  show({ filter: event.detail });
});

// ---- selection, kept for the tab
const key = "selected " + study;
const selected = new Set(JSON.parse(sessionStorage.getItem(key) ?? "[]"));

function toggle(number, on) {
  if (on) selected.add(number);
  else selected.delete(number);
  mark();
}

function mark() {
  sessionStorage.setItem(key, JSON.stringify([...selected]));
  if (!rows) return;
  for (const box of rows.querySelectorAll(".select")) box.checked = selected.has(box.value);
  selection.hidden = selected.size === 0;
  selection.querySelector("span").textContent = `${selected.size} selected` + (selected.size > MOST ? `: the first ${MOST} are compared` : "");
}

const compare = () => selected.size > 1 && (location.href = `${study}/compare?trials=${[...selected].slice(0, MOST).join(",")}`);

// ---- the row under the cursor
let cursor = null;
const all = () => [...(rows?.querySelectorAll("tr[id^=trial-]") ?? [])];

function move(by) {
  const list = all();
  const at = list.findIndex((row) => row.id === cursor);
  const next = list[Math.min(Math.max(at + by, 0), list.length - 1)];
  if (!next) return;
  cursor = next.id;
  const link = next.querySelector(".trial a") ?? next.querySelector(".select");
  link.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

const under = () => all().find((row) => row.id === cursor || row.contains(document.activeElement));

// ---- writing
const me = () => localStorage.getItem("name") ?? "";

async function send(address, body) {
  const response = await fetch(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ by: me() || null, ...body }) });
  if (!response.ok) {
    const { error } = await response.json().catch(() => ({ error: `the server said ${response.status}` }));
    throw new Error(error);
  }
}

async function tell(place, act) {
  const answer = place.querySelector(".answer");
  try {
    if (answer) answer.textContent = "…";
    await act();
    if (answer) answer.textContent = "done";
    document.dispatchEvent(new Event("shown"));
  } catch (error) {
    if (answer) answer.textContent = error.message;
    else alert(error.message);
  }
}

function press(button) {
  const name = button.classList.contains("star") ? "starred" : "pinned";
  const on = button.getAttribute("aria-pressed") !== "true";
  tell(button, () => send(`${document.body.dataset.api}/trials/${button.dataset.trial}/annotations`, { [name]: on }));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, .selection a");
  if (!button) return;
  if (button.matches(".star, .pin")) press(button);
  else if (button.matches(".selection a")) {
    event.preventDefault();
    compare();
  } else if (button.matches(".clear")) {
    selected.clear();
    mark();
  } else if (button.matches(".help")) document.getElementById("keys").showModal();
  else if (button.matches(".up")) {
    const item = button.closest("li");
    item.previousElementSibling?.before(item);
    button.focus();
  } else if (button.dataset.copy) {
    const text = document.getElementById(button.dataset.copy).textContent;
    // The clipboard is there on this machine and over TLS only.
    Promise.resolve(navigator.clipboard?.writeText(text)).then(() => (button.textContent = navigator.clipboard ? "Copied" : "Select it by hand"), () => (button.textContent = "Select it by hand"));
  } else if (button.dataset.order) {
    const place = button.closest("[data-orders]");
    if (button.dataset.order === "stop" && !confirm("Stop this trial for good?")) return;
    const trial = place.dataset.trial === undefined ? {} : { trial: Number(place.dataset.trial) };
    tell(place, () => send(place.dataset.orders, { order: button.dataset.order, ...trial }));
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches(".select")) toggle(event.target.value, event.target.checked);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const place = form.closest("[data-orders]") ?? form;
  const fields = new FormData(form);
  if (form.matches(".annotate")) {
    event.preventDefault();
    if (fields.get("by")) localStorage.setItem("name", fields.get("by"));
    const tags = fields.get("tags").split(",").map((tag) => tag.trim()).filter(Boolean);
    tell(form, () => send(form.dataset.annotations, { note: fields.get("note"), tags }));
    document.activeElement.blur();
  } else if (form.matches(".extend")) {
    event.preventDefault();
    tell(place, () => send(place.dataset.orders, { order: "extend", trials: Number(fields.get("trials")) }));
  } else if (form.matches(".deadline")) {
    event.preventDefault();
    const minutes = fields.has("hours") ? 60 * Number(fields.get("hours")) : Number(fields.get("minutes"));
    tell(place, () => send(place.dataset.orders, { order: "deadline", in_seconds: Math.round(60 * minutes) }));
  } else if (form.matches(".enqueue")) {
    event.preventDefault();
    const typed = (text) => (text === "true" ? true : text === "false" ? false : text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);
    const params = Object.fromEntries([...fields].filter(([, text]) => text !== "").map(([name, text]) => [name, typed(text)]));
    tell(place, () => send(place.dataset.orders, { order: "enqueue", params }));
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (!rows || document.querySelector("dialog[open]")) return;
  const row = under();
  const act = {
    "/": () => document.querySelector(".expression").focus(),
    j: () => move(1),
    k: () => move(-1),
    x: () => row && toggle(row.querySelector(".select").value, !row.querySelector(".select").checked),
    c: compare,
    s: () => row?.querySelector(".star") && press(row.querySelector(".star")),
    p: () => row?.querySelector(".pin") && press(row.querySelector(".pin")),
    "?": () => document.getElementById("keys").showModal(),
    Escape: () => {
      selected.clear();
      mark();
    },
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("patched", mark);
document.querySelectorAll("input[name=by]").forEach((field) => (field.value = me()));
mark();
