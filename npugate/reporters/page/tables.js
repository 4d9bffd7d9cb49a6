"use strict";
// Everything that is words and tables: overview, findings, repair, operators.
(() => {
  const { data, state, el, byId, fill, bytes, micros, count, percent, between, plural, engineTag, RANK, side } = npugate;
  const FIT = {
    "fits": ["fits on the chip", "good"],
    "may-spill": ["may spill into external memory", "doubt"],
    "spills": ["spills into external memory", "bad"],
    "does-not-fit": ["does not fit", "bad"],
  };
  const GROUP_FROM = 4;

  // `code` in a sentence of ours becomes an element; there is no other markup.
  const prose = (text) => text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
  function meter(parts) {
    return el("div", { class: "meter", "aria-hidden": "true" }, parts.map(([name, share]) => el("i", { class: `e-${name}`, width: `${share * 100}%` })));
  }
  function card(label, figure, kind, ...rest) {
    return el("div", { class: "card" }, el("div", { class: "label" }, label), el("div", { class: `figure ${kind}` }, figure), rest);
  }
  const line = (text) => el("div", { class: "muted small" }, text);

  function change(pick, show) {
    const model = data.models[state.model];
    if (!model.repair || !model.repair.after.estimate || !model.before.estimate) return null;
    const [before, after] = [pick(model.before.estimate), pick(model.repair.after.estimate)];
    if (before === null || after === null || before === after) return null;
    const sign = after > before ? "+" : "−";
    return line(`repair: ${sign}${show(Math.abs(after - before))}`);
  }

  function cards() {
    const model = data.models[state.model], here = side(), found = here.estimate;
    const counting = here.findings.filter((finding) => finding.counts);
    const errors = counting.filter((finding) => finding.severity === "error").length;
    const shown = [card("Findings", counting.length ? plural(counting.length, "finding") : "none", errors ? "bad" : counting.length ? "doubt" : "good",
      line(["error", "warning", "note"].map((level) => [counting.filter((f) => f.severity === level).length, level]).filter(([n]) => n).map(([n, level]) => plural(n, level)).join(", ")),
      model.base ? line(model.base) : null)];
    if (!found) {
      shown.push(card("Placement, memory, time", "not estimated", "", line("Shapes or the target's data are missing, or the command did not ask for an estimate.")));
      return fill("cards", shown);
    }
    const epochs = found.epochs.length, counts = { npu: 0, hybrid: 0, cpu: 0 };
    found.epochs.forEach((epoch) => { counts[epoch.engine] += 1; });
    shown.push(card("On the NPU", `${percent(found.npu_macs)} of MACs`, "",
      meter(Object.entries(counts).map(([name, n]) => [name, epochs ? n / epochs : 0])),
      line(`${counts.npu} of ${plural(epochs, "epoch")} NPU, ${counts.hybrid} hybrid, ${counts.cpu} CPU`),
      line(`${count(found.macs)} MACs, ${count(found.compiler_macs)} by the compiler's count`), change((e) => e.npu_macs, percent)));
    if (found.memory) {
      const memory = found.memory, [word, kind] = FIT[memory.fit];
      shown.push(card("RAM needed", bytes(memory.activations[1]), kind, line(word), line(`likely ${between(memory.activations, bytes)}; at least ${bytes(memory.lower)}`), change((e) => e.memory && e.memory.activations[1], bytes)));
      shown.push(card("Weights in flash", bytes(memory.weights[1]), "", line(`likely ${between(memory.weights, bytes)}`), change((e) => e.memory && e.memory.weights[1], bytes)));
    } else shown.push(card("Memory", "not estimated", ""));
    if (found.time) {
      const time = found.time;
      shown.push(card("One inference", micros(time.us[1]), time.calibrated ? "" : "doubt", meter([["npu", time.npu], ["cpu", time.cpu]]),
        line(`likely ${between(time.us, micros)} on ${found.board}`), line(`${percent(time.npu)} NPU, ${percent(time.cpu)} CPU${time.calibrated ? "" : "; outside what was calibrated"}`),
        change((e) => e.time && e.time.us[1], micros)));
    } else shown.push(card("Time", "not estimated", ""));
    fill("cards", shown);
  }

  function overview() {
    const model = data.models[state.model], found = side().estimate;
    const board = found ? `, board ${found.board}` : "";
    byId("about").textContent = `${model.about}. Judged for ${data.target || "no target"} with toolchain ${data.toolchain || "unknown"}${board}; fails on ${data.fail_on}. ` +
      (model.inputs.length ? `Inputs ${model.inputs.join(", ")}; outputs ${model.outputs.join(", ")}.` : "");
    const notes = [...data.notices, ...(found ? found.notes : []), ...(found && found.time ? found.time.notes : [])];
    if (model.crowded) notes.push("This page holds too many nodes to draw this model too: make a page of it alone.");
    fill("notices", notes.map((note) => el("p", { class: "notice" }, note)));
    cards();
  }

  const linked = (shown, link) => (link ? el("a", { href: link, rel: "noopener noreferrer", target: "_blank" }, shown) : shown);
  function sourceLine(source, text) {
    if (!source) return null;
    const place = `${source.file}:${source.line}`;
    const shown = linked(el("code", {}, place), source.link);
    return el("p", {}, `${text} `, shown, source.text ? el("pre", { class: "mono" }, source.text) : null);
  }
  function nodeButton(finding) {
    return finding.node < 0 ? el("code", {}, finding.place) : el("button", { type: "button", class: "link mono", onclick: () => npugate.graph.show(finding.node, true) }, finding.place);
  }
  function findingBox(finding) {
    const rule = data.rules[finding.rule] || { fix: "", summary: "", link: "" };
    return el("article", { class: `finding ${finding.counts ? finding.severity : "quiet"}` },
      el("p", {}, el("span", { class: `tag ${finding.severity}` }, finding.severity), " ", el("strong", { title: rule.summary }, linked(`${finding.rule} ${finding.name}`, rule.link)), " ",
        finding.new ? el("span", { class: "tag quiet" }, "new") : null, finding.counts ? null : el("span", { class: "tag quiet" }, `suppressed: ${finding.suppressed}`)),
      el("p", {}, finding.message),
      el("p", { class: "small" }, "at ", nodeButton(finding), finding.repair ? el("span", { class: "muted" }, " · npugate fix has ", linked(finding.repair, data.repairs[finding.repair])) : null),
      sourceLine(finding.source, "from"), sourceLine(finding.twin, "text twin"),
      rule.fix ? el("p", { class: "muted small" }, "What to do: ", prose(rule.fix)) : null,
      rule.link ? null : el("p", { class: "muted small" }, "More: ", el("code", {}, `npugate explain ${finding.rule}`)));
  }
  function findings() {
    const here = side(), groups = new Map();
    for (const finding of here.findings) {
      const key = `${finding.counts}${finding.rule}${finding.severity}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(finding);
    }
    byId("findings-count").textContent = here.findings.length ? `${here.findings.length}${here.left_out ? ` and ${here.left_out} more in the other reports` : ""}` : "";
    const ordered = [...groups.values()].sort((a, b) => b[0].counts - a[0].counts || RANK[b[0].severity] - RANK[a[0].severity]);
    if (!ordered.length) return fill("findings-body", el("p", { class: "muted" }, "No findings."));
    fill("findings-body", ordered.flatMap((group) => {
      const counted = group[0].counts;
      if (group.length < GROUP_FROM && counted) return group.map(findingBox);
      const rest = counted ? group.slice(1) : group;
      const label = counted ? `${plural(rest.length, "more")} of ${group[0].rule} ${group[0].name}`.replace("mores", "more") : `${plural(group.length, "suppressed finding")} of ${group[0].rule} ${group[0].name}`;
      const body = el("div");
      const details = el("details", { ontoggle: () => { if (details.open && !body.childElementCount) body.append(...rest.map(findingBox)); } }, el("summary", {}, label), body);
      return counted ? [findingBox(group[0]), details] : [details];
    }));
  }

  const FIGURES = [["nodes", "Nodes", count], ["max_rank", "Largest rank", count], ["batched_layers", "Layers on more than one sample", count], ["weight_bytes", "Weights as stored", bytes], ["macs", "MACs", count], ["activation_bytes", "Tensors alive at once, at most", bytes]];
  function estimateRows(before, after) {
    if (!before || !after) return [];
    const rows = [["NPU share of MACs", (e) => e.npu_macs, percent, 1], ["Epochs", (e) => e.epochs.length, count, -1], ["RAM needed", (e) => e.memory && e.memory.activations[1], bytes, -1], ["Weights in flash", (e) => e.memory && e.memory.weights[1], bytes, -1], ["One inference", (e) => e.time && e.time.us[1], micros, -1]];
    return rows.map(([label, pick, show, good]) => [label, pick(before), pick(after), show, good]).filter((row) => row[1] !== null && row[2] !== null);
  }
  function compared([label, before, after, show, good]) {
    const kind = before === after ? "" : (after - before) * good > 0 ? "better" : "worse";
    return el("tr", {}, el("td", {}, label), el("td", { class: "number" }, show(before)), el("td", { class: `number ${kind}` }, show(after)));
  }
  function proof(check) {
    if (!check) return el("p", { class: "muted" }, "Nothing was applied, so there is nothing to prove.");
    const words = check.equal ? `Equal numbers: ${plural(check.values, "tensor")} compared on ${plural(check.samples, "set")} of inputs, largest difference ${check.max_abs_error.toPrecision(2)}, limit ${check.tolerance.toPrecision(2)}.`
      : check.equal === false ? `The numbers differ: ${check.reason}` : `Nothing could be compared: ${check.reason}`;
    return el("p", { class: check.equal ? "better" : "worse" }, words, check.notes.map((note) => el("span", { class: "muted" }, ` ${note}.`)));
  }
  function repair() {
    const found = data.models[state.model].repair;
    byId("repair").hidden = byId("repair-link").hidden = !found;
    if (!found) return;
    const [before, after] = found.figures, model = data.models[state.model];
    const rows = FIGURES.map(([key, label, show]) => [label, before[key], after[key], show, -1]);
    rows.unshift(["Findings that count", model.before.findings.filter((f) => f.counts).length, found.after.findings.filter((f) => f.counts).length, count, -1]);
    fill("repair-body",
      found.output ? el("p", {}, "Written to ", el("code", {}, found.output)) : null, proof(found.proof),
      el("div", { class: "columns" },
        el("div", {}, el("h3", {}, "Before and after"), el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, ""), el("th", { class: "number" }, "before"), el("th", { class: "number" }, "after"))),
          el("tbody", {}, [...rows, ...estimateRows(model.before.estimate, found.after.estimate)].map(compared)))),
        el("div", {}, el("h3", {}, "What was tried"), el("table", {}, el("tbody", {}, found.outcomes.map((outcome) => el("tr", {}, el("td", { class: "name" }, linked(el("code", {}, outcome.repair), data.repairs[outcome.repair])), el("td", {}, outcome.state),
          el("td", {}, outcome.reason, outcome.edits.map((edit) => el("div", { class: "small" }, edit)), outcome.interface.map(([name, old, now]) => el("div", { class: "small" }, `${name}: ${old} is now ${now}`))))))))),
      found.diff.length ? el("details", {}, el("summary", {}, `Nodes that differ (${found.diff.length + found.diff_left_out})`), el("pre", { class: "diff mono" }, found.diff.join("\n"))) : null);
  }

  // What the vendor's compiler said; a row that differs from the prediction stands out.
  function compiler() {
    const found = data.models[state.model].compiler;
    byId("compiler").hidden = byId("compiler-link").hidden = !found;
    if (!found) return;
    const rows = found.rows.map(([subject, predicted, compiled, agrees]) => el("tr", {}, el("td", {}, subject), el("td", { class: "number" }, predicted), el("td", { class: `number ${agrees ? "" : "worse"}` }, agrees ? compiled : `${compiled} (differs)`)));
    fill("compiler-body", el("p", {}, found.headline), found.figures.map((line) => el("p", { class: "small" }, line)),
      rows.length ? el("div", {}, el("h3", {}, found.compared), el("table", {}, el("thead", {}, el("tr", {}, el("th", {}, ""), el("th", { class: "number" }, "predicted"), el("th", { class: "number" }, "compiled"))), el("tbody", {}, rows))) : null);
  }

  // Operators: an estimate's epochs, else the graph's nodes. Sorted by any column.
  let order = ["index", 1];
  const COLUMNS = [["index", "Step", 1], ["engine", "Engine"], ["kind", "Operator"], ["label", "Node"], ["scope", "Module"], ["out", "Output"], ["macs", "MACs", 1], ["us", "Time", 1], ["share", "Share", 1], ["why", "Limited by; what to do"]];
  function operatorRows() {
    const { estimate, graph } = side();
    if (!estimate) return graph ? graph.nodes.map((node, index) => ({ index, engine: "", kind: graph.texts[node[1]], label: node[0], scope: graph.texts[node[2]], out: graph.texts[node[4]], macs: null, us: null, cycles: null, share: null, why: "", node: index })) : [];
    const all = estimate.epochs.reduce((sum, epoch) => sum + (epoch.us ? epoch.us[1] : 0), 0);
    return estimate.epochs.map((epoch, index) => {
      const lead = epoch.ops.find((op) => op.engine !== "npu") || epoch.ops[0] || { kind: "–", label: "", scope: "", node: -1, reason: "", advice: "" };
      const why = [lead.reason, lead.advice && `Instead: ${lead.advice}`, epoch.bound && `Limited by ${epoch.bound}`].filter(Boolean).join(". ");
      return { index, engine: epoch.engine, kind: epoch.ops.map((op) => op.kind).join(" + ") || "–", label: lead.label, scope: lead.scope, out: epoch.out, macs: epoch.macs, us: epoch.us ? epoch.us[1] : null, range: epoch.us, share: epoch.us && all ? epoch.us[1] / all : null, why, node: lead.node };
    });
  }
  function operators() {
    const rows = operatorRows(), [key, direction] = order, timed = rows.some((row) => row.us !== null), placed = rows.some((row) => row.engine);
    const columns = COLUMNS.filter(([name]) => (timed || !["us", "share"].includes(name)) && (placed || !["engine", "why", "macs"].includes(name)));
    byId("operators-count").textContent = `${plural(rows.length, placed ? "epoch" : "node")}`;
    if (!rows.length) return fill("operators-body", el("p", { class: "muted" }, "The model's nodes are not known."));
    rows.sort((a, b) => direction * (typeof a[key] === "string" ? a[key].localeCompare(b[key]) : (a[key] ?? -1) - (b[key] ?? -1)) || a.index - b.index);
    const cell = { index: (row) => row.index, engine: (row) => engineTag(row.engine), macs: (row) => (row.macs ? count(row.macs) : "–"), us: (row) => (row.us === null ? "–" : el("span", { title: between(row.range, micros) }, micros(row.us))), share: (row) => (row.share === null ? "–" : percent(row.share)),
      label: (row) => (row.node < 0 ? el("code", {}, row.label) : el("button", { type: "button", class: "link mono", onclick: () => npugate.graph.show(row.node, true) }, row.label)) };
    const head = columns.map(([name, title, number]) => el("th", { class: number ? "number" : "", "aria-sort": name === key ? (direction > 0 ? "ascending" : "descending") : "none" },
      el("button", { type: "button", onclick: () => { order = [name, name === key ? -direction : number && name !== "index" ? -1 : 1]; operators(); } }, `${title}${name === key ? (direction > 0 ? " ▲" : " ▼") : ""}`)));
    const body = rows.slice(0, state.limit).map((row) => el("tr", {}, columns.map(([name, , number]) => el("td", { class: number ? "number" : { scope: "type", out: "type", label: "node" }[name] || "" }, (cell[name] || ((r) => r[name]))(row)))));
    fill("operators-body", el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body))),
      rows.length > state.limit ? el("button", { type: "button", onclick: () => { state.limit = Infinity; operators(); } }, `Show all ${rows.length}`) : null);
  }

  npugate.findingBox = findingBox;
  npugate.onChange(overview);
  npugate.onChange(findings);
  npugate.onChange(compiler);
  npugate.onChange(repair);
  npugate.onChange(operators);
})();
