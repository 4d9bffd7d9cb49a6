"use strict";
// What every part uses: the data, elements, figures with their units, colours, the state.
const npugate = (() => {
  const data = JSON.parse(document.getElementById("npugate-data").textContent);
  const state = { model: 0, after: false, limit: 500 };
  const listeners = [];

  // Texts become text nodes, so nothing of a model is ever read as markup.
  function el(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (name === "width") made.style.width = value;
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
    }
    made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return made;
  }
  const byId = (id) => document.getElementById(id);
  const fill = (id, ...children) => byId(id).replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));

  const KIB = 1024;
  function bytes(value) {
    if (Math.abs(value) < KIB) return `${Math.round(value)} B`;
    const [unit, size] = Math.abs(value) < KIB * KIB ? ["KiB", KIB] : Math.abs(value) < KIB ** 3 ? ["MiB", KIB ** 2] : ["GiB", KIB ** 3];
    const shown = value / size;
    return `${shown.toFixed(Math.abs(shown) < 10 ? 2 : Math.abs(shown) < 100 ? 1 : 0)} ${unit}`;
  }
  function micros(value) {
    if (value < 1) return `${value.toPrecision(2)} µs`;
    if (value < 1000) return `${value.toFixed(value < 10 ? 1 : 0)} µs`;
    if (value < 1e6) return `${(value / 1000).toFixed(value < 1e4 ? 2 : value < 1e5 ? 1 : 0)} ms`;
    return `${(value / 1e6).toFixed(2)} s`;
  }
  function count(value) {
    for (const [size, unit] of [[1e9, " G"], [1e6, " M"]]) {
      if (Math.abs(value) >= size) return Number((value / size).toPrecision(3)) + unit;
    }
    return Math.round(value).toLocaleString("en");
  }
  const percent = (share) => `${(share * 100).toFixed(share > 0.001 && share < 0.995 && share * 100 % 1 ? 1 : 0)} %`;
  const between = (found, show) => (found[0] === found[2] ? show(found[1]) : `${show(found[0])} – ${show(found[2])}`);
  const likely = (found, show) => (found[0] === found[2] ? show(found[1]) : `${show(found[1])} (${between(found, show)})`);
  const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const ENGINES = { npu: "NPU", hybrid: "hybrid", cpu: "CPU" };
  const engineTag = (engine) => el("span", { class: `tag ${engine || "quiet"}` }, ENGINES[engine] || "–");
  const RANK = { error: 3, warning: 2, note: 1 };

  // One side (before or after the repair) of one model, with what is found by node.
  const sides = new Map();
  function side() {
    const model = data.models[state.model];
    const raw = state.after && model.repair ? model.repair.after : model.before;
    if (!sides.has(raw)) sides.set(raw, { ...raw, ...joined(raw) });
    return sides.get(raw);
  }
  function joined(raw) {
    const size = raw.graph ? raw.graph.nodes.length : 0;
    const engine = new Array(size).fill(""), epochOf = new Array(size).fill(-1), operator = new Array(size).fill(null);
    const findingsOf = new Map();
    ((raw.estimate && raw.estimate.epochs) || []).forEach((epoch, index) => {
      for (const op of epoch.ops) {
        if (op.node < 0) continue;
        if (epochOf[op.node] < 0 || op.engine !== "npu") { engine[op.node] = op.engine; operator[op.node] = op; }
        if (epochOf[op.node] < 0) epochOf[op.node] = index;
      }
    });
    raw.findings.forEach((finding) => {
      if (finding.node < 0 || !finding.counts) return;
      if (!findingsOf.has(finding.node)) findingsOf.set(finding.node, []);
      findingsOf.get(finding.node).push(finding);
    });
    return { engine, epochOf, operator, findingsOf };
  }

  const onChange = (listener) => listeners.push(listener);
  // One part that fails leaves the others to be drawn; the console and the reader are told.
  const changed = () => listeners.forEach((listener) => {
    try { listener(); } catch (error) {
      byId("notices").append(el("p", { class: "notice" }, `A part of this page could not be drawn: ${error.message}`));
      reportError(error);
    }
  });

  return { data, state, el, byId, fill, bytes, micros, count, percent, between, likely, plural, colour, ENGINES, engineTag, RANK, side, onChange, changed };
})();
