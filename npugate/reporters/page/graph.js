"use strict";
// The graph: modules that open and close, placement as colour and shape, findings as rings; cytoscape draws, dagre places.
(() => {
  const { el, byId, fill, bytes, micros, percent, likely, plural, colour, ENGINES, engineTag, RANK, side } = npugate;
  const OPEN_BUDGET = 90; // items shown at first
  const WIDEST = 48; // items of one group; more are put into groups of their own
  const OPEN_MOST = 1200; // items that Open all may show
  let cy = null, tree = null, groups = new Map(), shown = null, opened = new Set(), matches = [], match = -1, findingAt = -1, constants = false;

  // A weight's Dequantize says little and doubles a graph: what is constant is hidden until asked for.
  function hidden(node) { const here = side(); return !constants && here.graph.nodes[node][5] === 1 && !here.findingsOf.has(node); }
  // A group is {id, name, items, parent, nodes}; an item is a group or a node's number.
  function group(id, name, parent) { return { id, name, parent, items: [], nodes: [] }; }
  function build(graph) {
    const root = group("g", "", null), known = new Map([["", root]]);
    const inside = (path) => {
      if (known.has(path)) return known.get(path);
      const cut = path.lastIndexOf("/");
      const parent = inside(cut < 0 ? "" : path.slice(0, cut));
      const made = group(`g/${path}`, path.slice(cut + 1), parent);
      parent.items.push(made);
      known.set(path, made);
      return made;
    };
    graph.nodes.forEach((node, index) => {
      if (hidden(index)) return;
      const [scope, body] = [graph.texts[node[2]], graph.texts[node[3]]];
      inside([body && `body ${body.replaceAll("/", "∕")}`, scope].filter(Boolean).join("/")).items.push(index);
    });
    settle(root, graph);
    return root;
  }
  // Fold groups of one, number the nodes of each, and split what is too wide to draw.
  function settle(here, graph) {
    here.items = here.items.map((item) => {
      if (typeof item === "number") return item;
      settle(item, graph);
      if (item.items.length !== 1) return item;
      const only = item.items[0];
      if (typeof only === "number") return only;
      only.name = `${item.name}/${only.name}`;
      only.parent = here;
      return only;
    });
    if (here.items.length > WIDEST) here.items = chunks(here, graph);
    groups.set(here.id, here);
    here.nodes = here.items.flatMap((item) => (typeof item === "number" ? [item] : item.nodes));
  }
  function chunks(here, graph) {
    const size = Math.max(12, Math.ceil(Math.sqrt(here.items.length))), made = [];
    for (let at = 0; at < here.items.length; at += size) {
      const part = group(`${here.id}#${at}`, "", here);
      part.items = here.items.slice(at, at + size);
      groups.set(part.id, part);
      part.items.forEach((item) => { if (typeof item !== "number") item.parent = part; });
      part.nodes = part.items.flatMap((item) => (typeof item === "number" ? [item] : item.nodes));
      const ends = [part.nodes[0], part.nodes[part.nodes.length - 1]].map((node) => graph.texts[graph.nodes[node][1]]);
      part.name = `${ends.join(" … ")} (${part.nodes[0]}–${part.nodes[part.nodes.length - 1]})`;
      made.push(part);
    }
    return made;
  }
  function openFirst(root, budget) {
    const open = new Set([root.id]);
    let total = root.items.length, waiting = root.items.filter((item) => typeof item !== "number");
    while (waiting.length) {
      const next = [];
      for (const item of waiting) {
        if (total + item.items.length - 1 > budget) continue;
        open.add(item.id);
        total += item.items.length - 1;
        next.push(...item.items.filter((inner) => typeof inner !== "number"));
      }
      waiting = next;
    }
    return open;
  }

  const short = (text, most) => (text.length > most ? `…${text.slice(1 - most)}` : text);
  function worst(nodes, here) {
    let found = 0, count = 0;
    for (const node of nodes) for (const finding of here.findingsOf.get(node) || []) { found = Math.max(found, RANK[finding.severity]); count += 1; }
    return [["", "note", "warning", "error"][found], count];
  }
  function element(item, here) {
    const { graph } = here, single = typeof item === "number", nodes = single ? [item] : item.nodes;
    const [level, count] = worst(nodes, here), badge = count ? `\n● ${plural(count, "finding")}` : "";
    const shares = { npu: 0, hybrid: 0, cpu: 0, none: 0 };
    nodes.forEach((node) => { shares[here.engine[node] || "none"] += 1; });
    const names = Object.keys(shares).filter((name) => shares[name]);
    const placed = names.filter((name) => name !== "none");
    const engine = single || placed.length < 2 ? placed[0] || "none" : "mixed";
    const head = single ? graph.texts[graph.nodes[item][1]] : short(item.name, 34);
    const below = single ? short(graph.nodes[item][0].split("/").pop() || graph.nodes[item][0], 26) : plural(nodes.length, "node");
    const label = `${head}\n${below}${badge}`;
    const widest = Math.max(...label.split("\n").map((text) => text.length));
    const stops = []; let at = 0;
    for (const name of ["npu", "hybrid", "cpu"]) { if (!shares[name]) continue; stops.push([name, Math.round(at)]); at += 100 * shares[name] / Math.max(1, nodes.length - shares.none); stops.push([name, Math.min(100, Math.round(at))]); }
    return { data: { id: single ? `n${item}` : item.id, label, engine, level, single: single ? 1 : 0, node: single ? item : -1, stops, w: Math.max(70, widest * 6.7 + 18), h: 36 + (badge ? 14 : 0) } };
  }
  // What a node is shown as: itself, or the outermost closed group that holds it.
  function visible() {
    const at = new Map(), elements = [], boxes = [];
    const here = side();
    const walk = (inside, box) => {
      for (const item of inside.items) {
        if (typeof item !== "number" && opened.has(item.id)) {
          boxes.push({ data: { id: item.id, label: short(item.name, 50), box: 1, ...(box ? { parent: box } : {}) } });
          walk(item, item.id);
          continue;
        }
        const made = element(item, here);
        if (box) made.data.parent = box;
        elements.push(made);
        (typeof item === "number" ? [item] : item.nodes).forEach((node) => at.set(node, made.data.id));
      }
    };
    walk(tree, "");
    const seen = new Map(), numbers = here.graph.edges;
    for (let index = 0; index < numbers.length; index += 2) {
      const [source, target] = [at.get(numbers[index]), at.get(numbers[index + 1])];
      if (source === target || source === undefined || target === undefined) continue;
      const id = `${source}>${target}`;
      if (!seen.has(id)) seen.set(id, { data: { id, source, target } });
    }
    return { at, elements, boxes, edges: [...seen.values()] };
  }
  // Each open group is laid out by itself and is one box for the group around it: no box overlaps
  // another, and many small layouts take far less time than one large.
  function place(what) {
    const byItem = new Map(what.elements.map((made) => [made.data.id, made])), inner = new Map();
    for (const { data } of what.edges) {
      const [from, to] = [chain(byItem.get(data.source)), chain(byItem.get(data.target))];
      let depth = 0;
      while (from[depth + 1] === to[depth + 1]) depth += 1;
      if (!inner.has(from[depth])) inner.set(from[depth], new Map());
      inner.get(from[depth]).set(`${from[depth + 1]}>${to[depth + 1]}`, [from[depth + 1], to[depth + 1]]);
    }
    const sizes = new Map(), middles = new Map(), bends = [];
    const arrange = (here) => {
      const layout = new dagre.graphlib.Graph();
      layout.setGraph({ rankdir: "TB", nodesep: 26, edgesep: 18, ranksep: 34, marginx: 12, marginy: 12, ranker: "tight-tree" });
      layout.setDefaultEdgeLabel(() => ({}));
      const ids = here.items.map((item) => (typeof item === "number" ? `n${item}` : item.id));
      here.items.forEach((item, index) => {
        if (typeof item !== "number" && opened.has(item.id)) arrange(item);
        else sizes.set(ids[index], { width: byItem.get(ids[index]).data.w, height: byItem.get(ids[index]).data.h });
        layout.setNode(ids[index], { ...sizes.get(ids[index]) });
      });
      (inner.get(here.id) || new Map()).forEach(([source, target]) => layout.setEdge(source, target));
      dagre.layout(layout);
      const { width = 0, height = 0 } = layout.graph();
      sizes.set(here.id, { width, height: height + 18 }); // room for the box's title
      layout.edges().forEach((edge) => { const points = layout.edge(edge).points.slice(1, -1); if (points.length) bends.push([edge, points, layout.node(edge.v), layout.node(edge.w)]); });
      middles.set(here.id, ids.map((id) => [id, layout.node(id).x - width / 2, layout.node(id).y - height / 2 + 9]));
    };
    const settleAt = (id, x, y) => {
      for (const [child, dx, dy] of middles.get(id) || []) settleAt(child, x + dx, y + dy);
      if (byItem.has(id)) byItem.get(id).position = { x, y };
    };
    arrange(tree);
    settleAt(tree.id, 0, 0);
    bend(what.edges, bends);
  }
  // An edge within one group goes around the nodes between, as the layout has it: each bend is said by
  // how far along the straight line it is, and how far off.
  function bend(edges, bends) {
    const byId = new Map(edges.map((edge) => [edge.data.id, edge]));
    for (const [{ v, w }, points, from, to] of bends) {
      const edge = byId.get(`${v}>${w}`), [dx, dy] = [to.x - from.x, to.y - from.y], length = Math.hypot(dx, dy);
      if (!edge || !length) continue;
      const along = points.map((point) => ((point.x - from.x) * dx + (point.y - from.y) * dy) / length ** 2);
      const off = points.map((point) => ((point.y - from.y) * dx - (point.x - from.x) * dy) / length);
      if (off.some((distance) => Math.abs(distance) > 3)) Object.assign(edge.data, { along: along.map((n) => n.toFixed(4)).join(" "), off: off.map((n) => n.toFixed(1)).join(" ") });
    }
  }
  // The groups around an element, outermost first, and itself.
  function chain(made) {
    const found = [made.data.id];
    for (let here = made.data.parent ? find(made.data.parent) : null; here && here !== tree; here = here.parent) found.unshift(here.id);
    return [tree.id, ...found];
  }

  function style() {
    const fillOf = (name) => colour(name === "mixed" ? "none" : name);
    const engines = ["npu", "hybrid", "cpu", "none"].map((name) => ({ selector: `node[engine = "${name}"]`, style: { "background-color": fillOf(name), color: colour("on-engine") } }));
    return [
      { selector: "node[w]", style: { width: "data(w)", height: "data(h)" } },
      { selector: "node", style: { shape: "round-rectangle", label: "data(label)", "text-wrap": "wrap", "text-valign": "center", "text-halign": "center", "font-size": 12, "font-family": "system-ui, sans-serif", "line-height": 1.15, "border-width": 0 } },
      ...engines,
      { selector: 'node[engine = "cpu"]', style: { shape: "cut-rectangle" } },
      { selector: 'node[engine = "hybrid"]', style: { shape: "barrel" } },
      { selector: 'node[engine = "mixed"]', style: { color: colour("on-engine"), "background-fill": "linear-gradient", "background-gradient-direction": "to-right", "background-gradient-stop-colors": (node) => node.data("stops").map(([name]) => fillOf(name)).join(" "), "background-gradient-stop-positions": (node) => node.data("stops").map(([, at]) => `${at}%`).join(" ") } },
      { selector: "node[single = 0]", style: { "border-width": 2, "border-style": "double", "border-color": colour("text") } },
      { selector: 'node[level = "error"]', style: { "border-width": 4, "border-style": "solid", "border-color": colour("error") } },
      { selector: 'node[level = "warning"]', style: { "border-width": 4, "border-style": "solid", "border-color": colour("warning") } },
      { selector: 'node[level = "note"]', style: { "border-width": 3, "border-style": "solid", "border-color": colour("note") } },
      { selector: "node[box]", style: { label: "data(label)", "text-valign": "top", "text-halign": "center", "background-color": colour("card"), "background-opacity": 0.7, "border-width": 1, "border-color": colour("line"), color: colour("muted"), padding: 8, "font-size": 11, shape: "round-rectangle" } },
      { selector: "edge", style: { width: 1.4, "line-color": colour("muted"), "target-arrow-color": colour("muted"), "target-arrow-shape": "triangle", "arrow-scale": 0.8, "curve-style": "bezier", opacity: 0.75 } },
      { selector: "edge[off]", style: { "curve-style": "round-segments", "segment-distances": "data(off)", "segment-weights": "data(along)", "segment-radii": 12, "edge-distances": "node-position" } },
      { selector: "node.found", style: { "underlay-color": colour("accent"), "underlay-opacity": 0.35, "underlay-padding": 7 } },
      { selector: "node:selected", style: { "underlay-color": colour("accent"), "underlay-opacity": 0.7, "underlay-padding": 8 } },
      { selector: "edge.near", style: { "line-color": colour("accent"), "target-arrow-color": colour("accent"), width: 2.6, opacity: 1 } },
    ];
  }
  function draw(keep) {
    const view = keep && cy ? { zoom: cy.zoom(), pan: { ...cy.pan() } } : null;
    shown = visible();
    place(shown);
    if (cy) cy.destroy();
    cy = cytoscape({ container: byId("canvas"), elements: [...shown.boxes, ...shown.elements, ...shown.edges], layout: { name: "preset" }, style: style(), minZoom: 0.02, maxZoom: 4, userZoomingEnabled: document.activeElement === byId("canvas"), boxSelectionEnabled: false, autoungrabify: true });
    cy.on("tap", "node", (event) => { byId("canvas").focus({ preventScroll: true }); select(event.target); });
    cy.on("dbltap", "node", (event) => toggle(event.target.id()));
    cy.on("tap", (event) => { byId("canvas").focus({ preventScroll: true }); if (event.target === cy) { cy.elements().removeClass("near"); overviewPanel(); } });
    if (view) { cy.zoom(view.zoom); cy.pan(view.pan); } else fitFirst();
    mark();
  }
  // All of it when that can be read, else its beginning.
  function fitFirst() {
    cy.fit(undefined, 24);
    if (cy.zoom() > 1.2) { cy.zoom(1.2); cy.center(); }
    if (cy.zoom() >= 0.5) return;
    const box = cy.elements().boundingBox(), first = shown.elements[0];
    cy.zoom(Math.max(0.62, Math.min(1, (cy.width() - 40) / box.w)));
    const zoom = cy.zoom(), x = box.w * zoom < cy.width() ? (box.x1 + box.x2) / 2 : first ? first.position.x : 0;
    cy.pan({ x: cy.width() / 2 - x * zoom, y: 24 - box.y1 * zoom });
  }

  const find = (id) => groups.get(id) || null;
  function toggle(id) {
    const found = find(id);
    if (!found) return;
    const before = cy.$id(id).length ? cy.$id(id).renderedPosition() : null;
    if (opened.has(id)) opened.delete(id); else opened.add(id);
    draw(true);
    const anchor = opened.has(id) ? cy.$id(shown.at.get(found.nodes[0])) : cy.$id(id);
    if (before && anchor.length) { const now = anchor.renderedPosition(); cy.panBy({ x: before.x - now.x, y: before.y - now.y }); }
    if (anchor.length) select(opened.has(id) ? cy.$id(id) : anchor);
  }
  function grow() {
    const here = side();
    groups = new Map();
    tree = build(here.graph);
    opened = openFirst(tree, tree.nodes.length <= OPEN_BUDGET ? Infinity : OPEN_BUDGET);
    byId("graph-constants").setAttribute("aria-pressed", String(constants));
    byId("graph-open").hidden = tree.nodes.length > OPEN_MOST;
  }
  function reveal(node) {
    let changed = hidden(node);
    if (changed) { constants = true; grow(); }
    const path = (here) => here.items.some((item) => {
      if (typeof item === "number") return item === node;
      if (!item.nodes.includes(node)) return false;
      if (!opened.has(item.id)) { opened.add(item.id); changed = true; }
      return path(item);
    });
    path(tree);
    if (changed) draw(true);
  }
  function show(node, scroll) {
    if (!cy) return;
    reveal(node);
    const found = cy.$id(`n${node}`);
    if (scroll) byId("graph").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    if (cy.zoom() < 0.6) cy.zoom(0.8);
    cy.center(found);
    select(found);
  }
  function select(found) {
    cy.$(":selected").unselect();
    cy.elements().removeClass("near");
    found.select();
    found.connectedEdges().addClass("near");
    if (found.data("box") || !found.data("single")) groupPanel(found.id()); else nodePanel(found.data("node"));
  }

  const row = (name, value) => (value === "" || value === null || value === undefined ? [] : [el("dt", {}, name), el("dd", {}, value)]);
  function links(title, nodes) {
    const { graph } = side();
    return nodes.length ? [el("h3", {}, title), nodes.slice(0, 12).map((node) => el("div", {}, el("button", { type: "button", class: "link mono", onclick: () => show(node) }, `${graph.texts[graph.nodes[node][1]]} ${graph.nodes[node][0]}`))), nodes.length > 12 ? el("div", { class: "muted" }, `and ${nodes.length - 12} more`) : null] : [];
  }
  function nodePanel(node) {
    const here = side(), { graph } = here, [label, op, scope, body, out] = graph.nodes[node], operator = here.operator[node], epoch = here.epochOf[node] < 0 ? null : here.estimate.epochs[here.epochOf[node]];
    const before = [], after = [];
    for (let index = 0; index < graph.edges.length; index += 2) { if (graph.edges[index + 1] === node) before.push(graph.edges[index]); if (graph.edges[index] === node) after.push(graph.edges[index + 1]); }
    fill("panel", el("h3", {}, graph.texts[op]), el("dl", {},
      row("Node", el("code", {}, label)), row("Module", graph.texts[scope]), row("Body", graph.texts[body]), row("Output", el("code", {}, graph.texts[out])),
      operator ? row("Runs on", engineTag(operator.engine)) : here.estimate ? row("Runs on", "nothing of its own: folded or a view") : [],
      operator ? row("Becomes", operator.kind) : [], operator ? row("Because", operator.reason) : [], operator ? row("Instead", operator.advice) : [],
      epoch ? row("Step", `${here.epochOf[node]} of ${here.estimate.epochs.length}`) : [], epoch && epoch.us ? row("Time of the step", likely(epoch.us, micros)) : [],
      epoch ? row("Reads", `${bytes(epoch.reads)} and ${bytes(epoch.weights)} of weights`) : [], epoch ? row("Writes", bytes(epoch.writes)) : []),
    (here.findingsOf.get(node) || []).map(npugate.findingBox), links("Reads from", before), links("Read by", after));
  }
  function groupPanel(id) {
    const found = find(id), here = side();
    if (!found) return;
    const counts = {};
    found.nodes.forEach((node) => { const name = here.engine[node] || "none"; counts[name] = (counts[name] || 0) + 1; });
    const steps = new Set(found.nodes.map((node) => here.epochOf[node]).filter((index) => index >= 0));
    const time = here.estimate ? [...steps].reduce((sum, index) => sum + (here.estimate.epochs[index].us ? here.estimate.epochs[index].us[1] : 0), 0) : 0;
    const marked = found.nodes.filter((node) => here.findingsOf.has(node));
    fill("panel", el("h3", {}, found.name || "Group"), el("dl", {}, row("Nodes", found.nodes.length), here.estimate ? row("Runs on", Object.entries(counts).map(([name, n]) => `${n} ${ENGINES[name] || "folded or views"}`).join(", ")) : [], time ? row("Time", micros(time)) : []),
      el("button", { type: "button", onclick: () => toggle(id) }, opened.has(id) ? "Close this group" : "Open this group"), links("Findings", marked));
  }
  function overviewPanel() {
    const here = side(), types = new Map();
    here.graph.nodes.forEach((node) => types.set(here.graph.texts[node[1]], (types.get(here.graph.texts[node[1]]) || 0) + 1));
    fill("panel", el("h3", {}, "Operators in the model"), el("dl", {}, [...types].sort((a, b) => b[1] - a[1]).slice(0, 24).flatMap(([name, n]) => row(name, `${n} (${percent(n / here.graph.nodes.length)})`))),
      el("p", { class: "muted small" }, "Choose a node for its placement, time, findings and neighbours; double-click a group to open it."));
  }

  function mark() {
    const text = byId("search").value.trim().toLowerCase(), { graph } = side();
    matches = text ? graph.nodes.flatMap((node, index) => ([node[0], graph.texts[node[1]], graph.texts[node[2]]].some((part) => part.toLowerCase().includes(text)) ? [index] : [])) : [];
    if (matches.some((node) => !hidden(node))) matches = matches.filter((node) => !hidden(node));
    cy.nodes().removeClass("found");
    new Set(matches.map((node) => shown.at.get(node))).forEach((id) => { if (id !== undefined) cy.$id(id).addClass("found"); });
    if (!matches.length) match = -1;
    byId("search-count").textContent = text ? (matches.length ? (match < 0 ? plural(matches.length, "match").replace("matchs", "matches") : `${match + 1} of ${matches.length}`) : "no match") : "";
  }
  function step(by) {
    if (!matches.length) return;
    match = match < 0 ? (by > 0 ? 0 : matches.length - 1) : (match + by + matches.length) % matches.length;
    show(matches[match]);
    mark();
  }
  function stepFinding(by) {
    const marked = [...side().findingsOf.keys()].sort((a, b) => a - b);
    if (!marked.length) return;
    findingAt = (findingAt + by + marked.length) % marked.length;
    show(marked[findingAt]);
  }
  function zoom(by) { cy.zoom({ level: cy.zoom() * by, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } }); }
  function legend() {
    const here = side(), swatch = (kind, text) => el("span", {}, el("i", { class: kind }), text);
    fill("graph-legend", here.estimate ? [swatch("e-npu", "NPU"), swatch("e-hybrid", "hybrid: a CPU program that drives the NPU"), swatch("e-cpu", "CPU (cut corners)"), swatch("e-none", "folded, a view, or unknown")] : [el("span", {}, "Placement is not estimated.")], swatch("ring", "error"), swatch("ring warning", "warning"), swatch("ring note", "note"), el("span", {}, "double border: a closed group of nodes"));
  }
  function refresh() {
    const here = side(), usable = here.graph && here.graph.nodes.length;
    byId("graph-count").textContent = usable ? `${plural(here.graph.nodes.length, "node")}${here.graph.left_out ? `, ${here.graph.left_out} more left out` : ""}` : "";
    byId("graph-tools").hidden = !usable;
    byId("graph").querySelector(".canvas-and-panel").hidden = !usable;
    match = findingAt = -1;
    if (!usable) { if (cy) cy.destroy(); cy = null; return fill("graph-legend", el("span", {}, "The graph is not known.")); }
    const fixed = here.graph.nodes.filter((node) => node[5] === 1).length;
    constants = fixed === here.graph.nodes.length;
    byId("graph-constants").hidden = !fixed;
    byId("graph-constants").textContent = plural(fixed, "constant");
    grow();
    byId("graph-next").hidden = !here.findingsOf.size;
    legend();
    draw(false);
    overviewPanel();
  }
  function keys(event) {
    if (!cy || event.ctrlKey || event.metaKey || event.altKey) return;
    const pan = { ArrowLeft: [80, 0], ArrowRight: [-80, 0], ArrowUp: [0, 80], ArrowDown: [0, -80] }[event.key];
    const chosen = cy.$(":selected");
    if (pan) cy.panBy({ x: pan[0], y: pan[1] });
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") cy.fit(undefined, 24);
    else if (event.key.toLowerCase() === "n") stepFinding(1);
    else if (event.key.toLowerCase() === "p") stepFinding(-1);
    else if (event.key === "Enter" && chosen.length) toggle(chosen.id());
    else return;
    event.preventDefault();
  }

  byId("search").addEventListener("input", () => { match = -1; if (cy) mark(); });
  byId("search").addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); step(event.shiftKey ? -1 : 1); } });
  byId("search-on").addEventListener("click", () => step(1));
  byId("search-back").addEventListener("click", () => step(-1));
  byId("graph-fit").addEventListener("click", () => cy && cy.fit(undefined, 24));
  byId("graph-in").addEventListener("click", () => cy && zoom(1.3));
  byId("graph-out").addEventListener("click", () => cy && zoom(1 / 1.3));
  byId("graph-open").addEventListener("click", () => { if (cy) { opened = openFirst(tree, Infinity); draw(false); } });
  byId("graph-close").addEventListener("click", () => { if (cy) { opened = new Set([tree.id]); draw(false); } });
  byId("graph-constants").addEventListener("click", () => { if (cy) { constants = !constants; grow(); draw(false); } });
  byId("graph-next").addEventListener("click", () => stepFinding(1));
  byId("canvas").addEventListener("keydown", keys);
  byId("canvas").addEventListener("focus", () => cy && cy.userZoomingEnabled(true));
  byId("canvas").addEventListener("blur", () => cy && cy.userZoomingEnabled(false));
  npugate.graph = { show, restyle: () => { if (cy) { cy.style(style()); mark(); } }, drawn: () => (cy ? cy.nodes().length : 0) };
  npugate.onChange(refresh);
})();
