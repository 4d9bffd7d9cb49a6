"use strict";
// The head of the page: which model, which side, light or dark; then everything is drawn.
(() => {
  const { data, state, el, byId, changed } = npugate;
  const WORDS = { auto: "◐ Auto", light: "☀ Light", dark: "☾ Dark" }, NEXT = { auto: "light", light: "dark", dark: "auto" };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let theme = "auto";
  try { theme = localStorage.getItem("npugate-theme") || "auto"; } catch { /* a page without storage starts as the system has it */ }
  if (!(theme in WORDS)) theme = "auto";

  function applyTheme(name) {
    document.documentElement.dataset.theme = name === "auto" ? (dark.matches ? "dark" : "light") : name;
    document.documentElement.style.colorScheme = document.documentElement.dataset.theme;
    byId("theme").textContent = WORDS[theme];
  }
  function redraw() { if (!data.models.length) return; npugate.graph.restyle(); npugate.charts.refresh(); }
  byId("theme").addEventListener("click", () => {
    theme = NEXT[theme];
    try { localStorage.setItem("npugate-theme", theme); } catch { /* it holds until the page is closed */ }
    applyTheme(theme);
    redraw();
  });
  dark.addEventListener("change", () => { applyTheme(theme); redraw(); });
  // Paper is white, and nobody can open a closed part of it.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((part) => { part.open = true; part.dispatchEvent(new Event("toggle")); });
    applyTheme("light");
    redraw();
  });
  addEventListener("afterprint", () => {
    closed.forEach((part) => { part.open = false; });
    applyTheme(theme);
    redraw();
  });

  function head() {
    const model = data.models[state.model];
    const repaired = Boolean(model.repair && model.repair.repaired);
    byId("path").textContent = data.models.length > 1 ? "" : model.path;
        byId("sides").hidden = !repaired;
    if (!repaired) state.after = false;
    const { verdict } = npugate.side();
    byId("verdict").textContent = verdict.toUpperCase();
    byId("verdict").className = `pill ${verdict}`;
    byId("side-before").setAttribute("aria-pressed", String(!state.after));
    byId("side-after").setAttribute("aria-pressed", String(state.after));
  }
  function side(after) { state.after = after; changed(); }

  applyTheme(theme);
  byId("footer").textContent = `npugate ${data.version}. This page asks nobody for anything: what it shows is in the file.`;
  if (!data.models.length) {
    byId("verdict").textContent = data.verdict;
    byId("verdict").className = `pill ${data.verdict.toLowerCase()}`;
    document.querySelectorAll("main section:not(#overview), .sections").forEach((part) => { part.hidden = true; });
    document.documentElement.dataset.ready = "0";
    byId("notices").append(...(data.notices.length ? data.notices : ["No model was examined."]).map((text) => el("p", { class: "notice" }, text)));
    return;
  }
  byId("model-choice").hidden = data.models.length < 2;
  byId("model").append(...data.models.map((model, index) => el("option", { value: index }, `${model.before.verdict.toUpperCase()}  ${model.path} (${model.tally})`)));
  byId("model").addEventListener("change", (event) => { state.model = Number(event.target.value); state.after = false; state.limit = 500; changed(); });
  byId("side-before").addEventListener("click", () => side(false));
  byId("side-after").addEventListener("click", () => side(true));
  const worst = data.models.findIndex((model) => model.before.verdict !== "pass");
  state.model = Math.max(0, worst);
  byId("model").value = String(state.model);
  npugate.onChange(head);
  head();
  changed();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
