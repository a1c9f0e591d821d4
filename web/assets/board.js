// The board under the hand.
"use strict";

document.addEventListener("brushed", (event) => {
  const field = document.querySelector(".expression");
  field.value = event.detail;
  show({ filter: event.detail });
});

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
