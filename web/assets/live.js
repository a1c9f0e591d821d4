// Follows the study and puts what changed into the page as it is: nothing is scrolled, sorted or selected anew.
"use strict";

const connection = document.getElementById("connection");
// A page that is fetched more often than this is not read faster.
const PAUSE_MS = 1000;
let seen = null;
let wanted = false;
let busy = false;
let source = null;

// A browser opens six connections to a server at most: a page that nobody sees, or that was left, keeps none of them.
function listen() {
  if (document.hidden) return leave();
  if (source) return;
  source = new EventSource(document.body.dataset.live);
  source.addEventListener("changed", (event) => {
    tell("live", "on");
    // The first word tells where the page stands already, unless something happened since it was made.
    if (event.data !== seen) {
      seen = event.data;
      wanted = true;
      document.dispatchEvent(new Event("happened"));
      refresh();
    }
  });
  source.addEventListener("open", () => tell("live", "on"));
  source.addEventListener("error", () => tell("not connected", "off"));
}

function leave() {
  source?.close();
  source = null;
}

listen();
addEventListener("pagehide", leave);
addEventListener("pageshow", listen);
document.addEventListener("visibilitychange", () => {
  listen();
  refresh();
});
// Another view was asked for without a new page.
document.addEventListener("shown", () => {
  wanted = true;
  refresh();
});

function tell(text, state) {
  connection.textContent = text;
  connection.className = "connection " + state;
}

// What is being computed is asked for again.
function wait() {
  if (document.querySelector("[data-pending]")) setTimeout(() => document.dispatchEvent(new Event("shown")), PAUSE_MS);
}
document.addEventListener("patched", wait);
wait();

async function refresh() {
  if (!wanted || busy || document.hidden) return;
  wanted = false;
  busy = true;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" } });
    if (response.ok) patch(new DOMParser().parseFromString(await response.text(), "text/html"));
  } catch {
    wanted = true;
  }
  setTimeout(() => {
    busy = false;
    refresh();
  }, PAUSE_MS);
}

function patch(fresh) {
  for (const old of document.querySelectorAll("[data-patch]")) {
    const next = fresh.getElementById(old.id);
    if (!next || holdsSelection(old, old.dataset.patch === "rows")) continue;
    if (old.dataset.patch === "rows") patchRows(old, next);
    else if (old.innerHTML !== next.innerHTML && !isBeingWritten(old)) replaceContent(old, next);
  }
  document.dispatchEvent(new Event("patched"));
}

// A field that somebody writes in is not taken away.
function isBeingWritten(element) {
  return element.querySelector("input:focus, textarea:focus, select:focus, details[open]") !== null;
}

function replaceContent(old, next) {
  const places = [...old.querySelectorAll("[tabindex]")].map((part) => part.scrollTop);
  const focused = old.contains(document.activeElement) ? focusIn(old) : null;
  old.replaceChildren(...document.importNode(next, true).childNodes);
  focused?.(old);
  old.querySelectorAll("[tabindex]").forEach((part, index) => (part.scrollTop = places[index] ?? 0));
}

// Rows stay the same elements as long as they say the same; those with a selection stay in any case, and the focus stays
// where it was in the row.
function patchRows(old, next) {
  const rows = new Map([...old.children].map((row) => [row.id, row]));
  let place = old.firstElementChild;
  for (const row of next.children) {
    const known = rows.get(row.id);
    rows.delete(row.id);
    const same = known && (known.outerHTML === row.outerHTML || holdsSelection(known));
    const focused = known && !same && known.contains(document.activeElement) ? focusIn(known) : null;
    const wantedRow = same ? known : document.importNode(row, true);
    if (known && !same) {
      if (place === known) place = known.nextElementSibling;
      known.remove();
      wantedRow.classList.add("changed");
    }
    if (wantedRow === place) place = place.nextElementSibling;
    else old.insertBefore(wantedRow, place);
    focused?.(wantedRow);
  }
  for (const row of rows.values()) row.remove();
}

function focusIn(row) {
  const parts = "a, button, input";
  const at = [...row.querySelectorAll(parts)].indexOf(document.activeElement);
  return (fresh) => fresh.querySelectorAll(parts)[at]?.focus({ preventScroll: true });
}

function holdsSelection(element, never) {
  const selection = getSelection();
  return !never && !selection.isCollapsed && selection.containsNode(element, true);
}
