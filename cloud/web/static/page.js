"use strict";
// Keys for lists of cards, and the word that the server is silent. Everything works without this file.
(() => {
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const current = () => document.activeElement && document.activeElement.closest("[data-row]");

  const step = (by) => {
    const all = rows();
    if (!all.length) return;
    const here = current();
    const at = here ? all.indexOf(here) + by : by > 0 ? 0 : all.length - 1;
    const next = all[Math.max(0, Math.min(all.length - 1, at))];
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  };

  const press = (key) => {
    if (key === "/") {
      const field = document.querySelector('input[data-key="/"]');
      if (field) { field.focus(); field.select(); }
      return !!field;
    }
    const row = current();
    const target = row && row.querySelector(`[data-key="${key}"]`);
    if (!target) return false;
    const reason = row.querySelector("[data-reason]");
    if ((key === "r" || key === "d") && reason && !reason.value.trim()) {
      reason.focus(); // a reason is needed; Enter would send the first button, so say which one is meant
      reason.dataset.then = key;
      return true;
    }
    target.focus();
    if (target.tagName === "INPUT") target.select(); else target.click();
    return true;
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (typing) {
      if (event.key === "Escape") { const row = current(); typing.blur(); if (row) row.focus(); }
      if (event.key === "Enter" && typing.dataset.then) {
        event.preventDefault();
        const key = typing.dataset.then;
        delete typing.dataset.then;
        if (typing.value.trim()) press(key);
      }
      return;
    }
    if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (!/^[a-z/]$/.test(event.key) || !press(event.key)) return;
    event.preventDefault();
  });

  // After an answer the card is replaced: keep the place in the list.
  document.addEventListener("htmx:afterSwap", (event) => {
    const card = event.detail.elt && event.detail.elt.closest && event.detail.elt.closest("[data-row]");
    if (card && document.activeElement === document.body) card.focus({ preventScroll: true });
  });

  const offline = document.getElementById("offline");
  const silent = () => { offline.hidden = false; document.body.classList.add("offline"); };
  document.addEventListener("htmx:sendError", silent);
  document.addEventListener("htmx:timeout", silent);
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) { offline.hidden = true; document.body.classList.remove("offline"); }
  });
})();
