"use strict";
// Memory over the steps and time per layer; uPlot draws.
(() => {
  const { el, byId, fill, bytes, micros, percent, between, likely, colour, ENGINES, engineTag, side } = npugate;
  const HEIGHT = 320, SHOWN = 9, TOP = 12;
  let plots = [];

  function axis(label, more = {}) {
    return { label, labelSize: 26, stroke: colour("text"), grid: { stroke: colour("grid"), width: 1 }, ticks: { stroke: colour("grid"), width: 1 }, font: "12px system-ui", labelFont: "12px system-ui", ...more };
  }
  // Nice ticks in a unit of 1024: 0.5 MiB and not 0.477.
  function ticksOf(size) {
    return (plot, index, low, high) => {
      const span = (high - low) / size, raw = span / 6, power = 10 ** Math.floor(Math.log10(raw || 1));
      const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw) * size, made = [];
      for (let at = Math.ceil(low / step) * step; at <= high; at += step) made.push(at);
      return made;
    };
  }
  const KIB = 1024;
  const byteUnit = (most) => (most >= 2 * KIB * KIB ? ["MiB", KIB * KIB] : most >= 2 * KIB ? ["KiB", KIB] : ["bytes", 1]);
  const timeUnit = (most) => (most >= 2e6 ? ["s", 1e6] : most >= 2000 ? ["ms", 1000] : ["µs", 1]);
  const plain = (value) => String(Number(value.toPrecision(4)));

  // The value at the cursor: the nearest, or for steps the one that the cursor is in.
  function indexAt(made, half) {
    if (made.cursor.left < 0 || made.cursor.idx === null || made.cursor.idx === undefined) return null;
    return half ? Math.max(0, Math.min(made.data[0].length - 2, Math.floor(made.posToVal(made.cursor.left, "x") + half))) : made.cursor.idx;
  }
  function create(host, options, rows, tip, pick, half = 0) {
    const box = el("div", { class: "tip", hidden: "" });
    options.hooks = { ...options.hooks, setCursor: [(plot) => {
      const at = indexAt(plot, half);
      box.hidden = at === null;
      if (box.hidden) return;
      box.replaceChildren(...tip(at));
      const left = plot.over.offsetLeft + plot.cursor.left, wide = box.offsetWidth;
      box.style.left = `${left + 18 + wide > host.clientWidth ? Math.max(0, left - wide - 14) : left + 18}px`;
      box.style.top = `${plot.over.offsetTop + 12}px`;
    }] };
    const made = new uPlot(options, rows, host);
    host.append(box);
    made.over.addEventListener("click", () => { const at = indexAt(made, half); if (at !== null) pick(at); });
    host.tabIndex = 0;
    host.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const at = indexAt(made, half), last = rows[0].length - (half ? 2 : 1);
      if (event.key === "Enter" && at !== null) pick(at);
      if (!by) return;
      event.preventDefault();
      made.setCursor({ left: made.valToPos(Math.min(last, Math.max(0, (at ?? (by > 0 ? -1 : last + 1)) + by)), "x"), top: 20 });
    });
    plots.push([made, host]);
    return made;
  }
  const width = (host) => Math.max(320, host.clientWidth - 14);
  function epochName(index) {
    const epoch = side().estimate.epochs[index];
    return epoch ? epoch.ops.map((op) => op.kind).join(" + ") || "–" : "";
  }
  function pickEpoch(index) {
    const epoch = side().estimate.epochs[index], op = epoch && epoch.ops.find((found) => found.node >= 0);
    if (op) npugate.graph.show(op.node, true);
  }

  // -- memory ------------------------------------------------------------------------------------
  function external(memory, steps) {
    const outside = new Set(memory.pools.filter((pool) => pool.external).map((pool) => pool.name)), found = new Array(steps).fill(0);
    for (const [, size, first, last, pool, , shares] of memory.buffers) {
      if (shares || !outside.has(pool)) continue;
      for (let at = Math.max(0, first); at <= Math.min(last, steps - 1); at += 1) found[at] += size;
    }
    return found;
  }
  function alive(memory, at) {
    const found = memory.buffers.filter(([, , first, last]) => first <= at && at <= last);
    return (found.length || at !== memory.peak ? found : memory.alive).slice().sort((a, b) => b[1] - a[1]);
  }
  function limits(memory, most) {
    let sum = 0;
    const found = memory.pools.filter((pool) => pool.writable && !pool.external).map((pool) => { sum += pool.size; return [`up to ${pool.name}: ${bytes(sum)}`, sum]; });
    const above = found.findIndex(([, at]) => at > most);
    return found.filter(([, at], index) => at <= most || (index === above && at <= most * 4)).slice(-6);
  }
  function bufferTable(rows, most) {
    return el("table", {}, el("tbody", {}, rows.slice(0, most).map(([name, size, , , pool, , shares]) => el("tr", {}, el("td", {}, el("code", {}, name)), el("td", { class: "number" }, bytes(size)), el("td", {}, shares ? `shares ${shares}` : pool || "no place")))),
      rows.length > most ? el("tfoot", {}, el("tr", {}, el("td", { class: "muted" }, `and ${rows.length - most} more`))) : null);
  }
  function poolTable(memory) {
    const row = (pool) => el("tr", {}, el("td", {}, pool.name, pool.external ? el("span", { class: "muted" }, " (external)") : null), el("td", { class: "number" }, bytes(pool.activations)), el("td", { class: "number" }, bytes(pool.weights)), el("td", { class: "number" }, bytes(pool.size)),
      el("td", {}, el("div", { class: "usage", role: "img", "aria-label": pool.size ? `${percent((pool.activations + pool.weights) / pool.size)} used` : "empty" }, el("i", { class: "bar e-npu", width: `${pool.size ? Math.min(100, 100 * pool.activations / pool.size) : 0}%` }), el("i", { class: "bar e-none", width: `${pool.size ? Math.min(100, 100 * pool.weights / pool.size) : 0}%` }))), el("td", { class: "number" }, pool.size ? percent((pool.activations + pool.weights) / pool.size) : "–"));
    return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["Memory", "Activations", "Weights", "Size", "Used", ""].map((name, index) => el("th", { class: index > 0 && index < 4 ? "number" : "" }, name)))), el("tbody", {}, memory.pools.map(row))));
  }
  // A text that can be read on top of lines.
  function halo(ctx, text, x, y) {
    ctx.save();
    ctx.setLineDash([]);
    ctx.lineJoin = "round";
    ctx.lineWidth = 6 * devicePixelRatio;
    ctx.strokeStyle = colour("back");
    ctx.strokeText(text, x, y);
    ctx.restore();
    ctx.fillText(text, x, y);
  }
  function horizontal(plot, rows, kind) {
    const { ctx, bbox } = plot, scale = devicePixelRatio;
    let lowest = Infinity;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour(kind);
    ctx.font = `${12 * scale}px system-ui`;
    ctx.textAlign = "right";
    ctx.lineWidth = 1.5 * scale;
    ctx.setLineDash([7 * scale, 5 * scale]);
    for (const [text, value] of rows) {
      const y = plot.valToPos(value, "y", true);
      ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
      if (lowest - y < 20 * scale) continue;
      halo(ctx, text, bbox.left + bbox.width - 6 * scale, y - 8 * scale);
      lowest = y;
    }
    ctx.restore();
  }
  function peakLine(plot, at, text) {
    const { ctx, bbox } = plot, scale = devicePixelRatio, x = plot.valToPos(at, "x", true), left = x > bbox.left + bbox.width / 2;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("text");
    ctx.lineWidth = scale;
    ctx.font = `600 ${12 * scale}px system-ui`;
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    ctx.textAlign = left ? "right" : "left";
    halo(ctx, text, x + (left ? -6 : 6) * scale, bbox.top + bbox.height - 8 * scale);
    ctx.restore();
  }
  function memory() {
    const { estimate } = side(), found = estimate && estimate.memory;
    if (!found) return fill("memory-body", el("p", { class: "muted" }, estimate ? "Memory is not estimated for this model; the notes above say why." : "Memory is not estimated."));
    const steps = found.live.length, host = el("div", { class: "plot", "aria-label": "RAM in use at each step; arrow keys move along the steps" }), list = el("div");
    fill("memory-body", el("p", {}, `The peak is ${bytes(found.live[found.peak] ?? found.lower)} alive at step ${found.peak} (${epochName(found.peak)}); with the planner's gaps and copies `, el("strong", {}, bytes(found.activations[1])), ` (${between(found.activations, bytes)}).`),
      el("div", { class: "legend" }, el("span", {}, el("i", { class: "e-npu" }), "alive at the step"), el("span", {}, el("i", { class: "e-cpu" }), "of it in external memory"), el("span", {}, el("i", { class: "line" }), "memories on the chip, filled in this order")),
      host, el("div", { class: "columns" }, el("div", {}, el("h3", {}, "Memories"), poolTable(found)), list));
    const atPeak = alive(found, found.peak);
    list.append(el("h3", {}, `Tensors at the peak, step ${found.peak}`), el("div", { class: "scroll" }, bufferTable(atPeak, TOP)));
    if (!steps) return host.replaceChildren(el("p", { class: "muted" }, "The steps are not known."));
    // Each step is as wide as the next, the last one too: it is drawn from one half before to one half after.
    const xs = Array.from({ length: steps + 1 }, (_, index) => index - 0.5), outside = external(found, steps), most = Math.max(...found.live, 1);
    const lines = limits(found, most), top = Math.max(most, ...lines.map(([, at]) => at)) * 1.1, [unit, size] = byteUnit(top), stepped = uPlot.paths.stepped({ align: 1 });
    create(host, {
      width: width(host), height: HEIGHT, legend: { show: false }, cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (plot, low, high) => [low, Math.max(high, low + 1)] }, y: { range: () => [0, top] } },
      axes: [axis("step (epoch, in running order)", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000] }), axis(`RAM in use (${unit})`, { size: 62, splits: ticksOf(size), values: (plot, values) => values.map((value) => plain(value / size)) })],
      series: [{}, { label: "alive", stroke: colour("npu"), fill: colour("shade"), width: 2, paths: stepped, points: { show: false } }, { label: "external", stroke: colour("cpu"), fill: `${colour("cpu")}55`, width: 2, paths: stepped, points: { show: false }, show: outside.some((value) => value > 0) }],
      hooks: { draw: [(plot) => { horizontal(plot, lines, "muted"); peakLine(plot, found.peak, `peak ${bytes(found.live[found.peak] ?? found.lower)}`); }] },
    }, [xs, [...found.live, found.live[steps - 1]], [...outside, outside[steps - 1]]], (near) => {
      const at = Math.min(near, steps - 1), rows = alive(found, at);
      return [el("strong", {}, `Step ${at}: ${epochName(at)}`), el("div", {}, `${bytes(found.live[at])} alive${outside[at] ? `, ${bytes(outside[at])} of it external` : ""}`), bufferTable(rows, SHOWN)];
    }, pickEpoch, 0.5);
  }

  // -- time --------------------------------------------------------------------------------------
  function modules(epochs, value) {
    const found = new Map();
    epochs.forEach((epoch) => {
      const name = (epoch.ops[0] && epoch.ops[0].scope.split("/").slice(0, 2).join("/")) || "(no module)";
      if (!found.has(name)) found.set(name, { npu: 0, hybrid: 0, cpu: 0 });
      found.get(name)[epoch.engine] += value(epoch);
    });
    return [...found].map(([name, parts]) => [name, parts.npu + parts.hybrid + parts.cpu, parts, -1]).sort((a, b) => b[1] - a[1]);
  }
  function ranking(title, rows, show) {
    const most = Math.max(...rows.map(([, value]) => value), 1e-12), all = rows.reduce((sum, [, value]) => sum + value, 0);
    return el("div", {}, el("h3", {}, title), el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows.slice(0, TOP).map(([name, value, parts, node]) => el("tr", {},
      el("td", {}, node >= 0 ? el("button", { type: "button", class: "link mono", onclick: () => npugate.graph.show(node, true) }, name) : el("code", {}, name)), el("td", { class: "number" }, show(value)), el("td", { class: "number muted" }, all ? percent(value / all) : ""), el("td", {}, el("div", { class: "strip" }, Object.entries(parts).map(([engine, part]) => (part ? el("i", { class: `bar e-${engine}`, width: `${Math.max(1, 150 * part / most)}px` }) : null)))))))),
      rows.length > TOP ? el("p", { class: "muted small" }, `and ${rows.length - TOP} more`) : null));
  }
  function time() {
    const { estimate } = side(), epochs = estimate ? estimate.epochs : [];
    const timed = epochs.some((epoch) => epoch.us), counted = epochs.some((epoch) => epoch.cycles);
    if (!timed && !counted) return fill("time-body", el("p", { class: "muted" }, estimate ? "Time is not estimated for this model; the notes above say why." : "Time is not estimated."));
    const range = (epoch) => (timed ? epoch.us : epoch.cycles), value = (epoch) => (range(epoch) ? range(epoch)[1] : 0);
    const show = timed ? micros : (cycles) => `${Math.round(cycles).toLocaleString("en")} cycles`, host = el("div", { class: "plot", "aria-label": "Time of each step; arrow keys move along the steps" });
    const found = estimate.time, most = Math.max(...epochs.map((epoch) => (range(epoch) ? range(epoch)[2] : 0)), 1e-9), [unit, size] = timed ? timeUnit(most) : ["cycles", 1];
    const ranked = epochs.map((epoch, index) => { const op = epoch.ops[0] || { kind: "–", label: "", node: -1 }; return [`${index} ${op.kind} ${op.label}`, value(epoch), { [epoch.engine]: value(epoch) }, op.node]; }).sort((a, b) => b[1] - a[1]);
    fill("time-body", found ? el("p", {}, "One inference takes ", el("strong", {}, micros(found.us[1])), ` (${between(found.us, micros)}) on ${estimate.board}: ${percent(found.npu)} NPU, ${percent(found.cpu)} CPU${found.calibrated ? "" : ". The model lies outside of what the figures were calibrated on"}.`) : null,
      el("div", { class: "legend" }, Object.entries(ENGINES).map(([name, text]) => el("span", {}, el("i", { class: `e-${name}` }), text)), el("span", {}, "thin line: the interval; click a bar to see its node")), host,
      el("div", { class: "columns" }, ranking("Longest steps", ranked, show), ranking("By module", modules(epochs, value), show)));
    const xs = epochs.map((_, index) => index), bars = uPlot.paths.bars({ size: [0.86, 60] });
    const series = Object.keys(ENGINES).map((name) => ({ label: ENGINES[name], stroke: colour(name), fill: colour(name), width: 0, paths: bars, points: { show: false } }));
    const rows = Object.keys(ENGINES).map((name) => epochs.map((epoch) => (epoch.engine === name ? value(epoch) : null)));
    create(host, {
      width: width(host), height: HEIGHT, legend: { show: false }, cursor: { y: false, points: { show: false }, drag: { x: true, y: false } },
      scales: { x: { time: false, range: (plot, low, high) => [low - 0.6, high + 0.6] }, y: { range: () => [0, most * 1.06] } },
      axes: [axis("step (epoch, in running order)", { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000] }), axis(`time (${unit})`, { size: 66, values: (plot, values) => values.map((at) => plain(at / size)) })],
      series: [{}, ...series],
      hooks: { draw: [(plot) => whiskers(plot, epochs, range)] },
    }, [xs, ...rows], (at) => {
      const epoch = epochs[at], share = found && timed ? ` (${percent(value(epoch) / found.us[1])} of all)` : "", lead = epoch.ops[0] || { label: "", reason: "" };
      return [el("strong", {}, `Step ${at}: ${epochName(at)} `), engineTag(epoch.engine), el("div", {}, range(epoch) ? `${likely(range(epoch), show)}${share}` : "not estimated"), el("div", {}, el("code", {}, lead.label)), epoch.bound ? el("div", {}, `Limited by ${epoch.bound}`) : "", lead.reason ? el("div", {}, lead.reason) : ""];
    }, pickEpoch);
  }
  function whiskers(plot, epochs, range) {
    const { ctx } = plot, scale = devicePixelRatio;
    if (plot.bbox.width / Math.max(1, plot.scales.x.max - plot.scales.x.min) < 7 * scale) return;
    ctx.save();
    ctx.strokeStyle = colour("text");
    ctx.lineWidth = scale;
    ctx.beginPath(); ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height); ctx.clip();
    ctx.beginPath();
    epochs.forEach((epoch, index) => {
      if (!range(epoch) || range(epoch)[0] === range(epoch)[2]) return;
      const x = plot.valToPos(index, "x", true);
      ctx.moveTo(x, plot.valToPos(range(epoch)[0], "y", true)); ctx.lineTo(x, plot.valToPos(range(epoch)[2], "y", true));
    });
    ctx.stroke();
    ctx.restore();
  }

  function refresh() {
    plots.forEach(([plot]) => plot.destroy());
    plots = [];
    memory();
    time();
  }
  addEventListener("resize", () => plots.forEach(([plot, host]) => plot.setSize({ width: width(host), height: HEIGHT })));
  npugate.charts = { refresh };
  npugate.onChange(refresh);
})();
