// The neighbourhood of a tensor as a drawing; each node of it can be chosen.

const MOST_DRAWN = 48, BOX = 44, MARGIN = 10;

// The tensors within some levels of a tensor, nearest first, and the edges between them.
function neighbourhood(computation, chosen, levels, withWeights) {
  const wanted = (t) => withWeights || !computation.depends[chosen] || computation.depends[t] || t === chosen;
  const found = new Map([[computation.nodeOf[chosen], chosen]]);
  let left = 0;
  const walk = (step) => {
    let layer = [chosen];
    for (let level = 0; level < levels; level += 1) {
      const next = [];
      for (const t of layer) {
        for (const other of step(t)) {
          const node = computation.nodeOf[other];
          if (!wanted(other) || found.has(node)) continue;
          if (found.size >= MOST_DRAWN) { left += 1; continue; }
          found.set(node, other);
          next.push(other);
        }
      }
      layer = next;
    }
  };
  walk((t) => computation.producers(t));
  walk((t) => computation.consumers(t, MOST_DRAWN * 2));
  const tensors = [...found.values()];
  const numbers = new Map(tensors.map((t, at) => [computation.nodeOf[t], at]));
  const edges = [];
  tensors.forEach((t, to) => {
    const met = new Set();
    for (const source of computation.producers(t)) {
      const from = numbers.get(computation.nodeOf[source]);
      if (from !== undefined && from !== to && !met.has(from)) { met.add(from); edges.push([from, to]); }
    }
  });
  return { tensors, edges, left };
}

function shortened(text, most) {
  return text.length <= most ? text : `…${text.slice(text.length - most + 1)}`;
}

function boxLabel(computation, t) {
  const parts = printable(computation.name(t)).split("/");
  return shortened(parts.slice(-2).join("/"), 30);
}

function boxKind(computation, t, chosen) {
  if (t === chosen) return "chosen";
  if (computation.inputs.has(t)) return "input";
  if (computation.outputs.has(t)) return "output";
  return computation.depends[t] ? "plain" : "weight";
}

function curve(points, route) {
  const steps = [];
  route.forEach((node, at) => {
    const point = points[node];
    const real = at === 0 || at === route.length - 1;
    const top = MARGIN + point.y, bottom = top + BOX;
    const x = MARGIN + point.x;
    if (at === 0) steps.push(`M${x},${bottom}`);
    else {
      const before = points[route[at - 1]];
      const fromX = MARGIN + before.x, fromY = MARGIN + before.y + BOX;
      const middle = (fromY + top) / 2;
      steps.push(`C${fromX},${middle} ${x},${middle} ${x},${top - (real ? 5 : 0)}`);
      if (!real) steps.push(`L${x},${bottom}`);
    }
  });
  return steps.join(" ");
}

function drawing(computation, chosen, levels, withWeights, choose) {
  const { tensors, edges, left } = neighbourhood(computation, chosen, levels, withWeights);
  const texts = tensors.map((t) => ({
    name: boxLabel(computation, t),
    more: shortened(`${printable(computation.op(t))}  ${computation.shape(t)}`, 36),
  }));
  const widths = texts.map(({ name, more }) => Math.max(96, name.length * 7.1 + 22, more.length * 6.1 + 22));
  const { points, routes, width, height } = layered(widths, edges, BOX);
  const svg = drawn("svg", {
    width: Math.ceil(width + 2 * MARGIN), height: Math.ceil(height + 2 * MARGIN),
    viewBox: `0 0 ${Math.ceil(width + 2 * MARGIN)} ${Math.ceil(height + 2 * MARGIN)}`,
    role: "group", "aria-label": `Drawing of ${counted(tensors.length, "tensor", "tensors")}, what is read above what reads it`,
  });
  svg.append(drawn("defs", {}, ...["arrow", "arrow-own"].map((id) => drawn("marker", {
    id, viewBox: "0 0 8 8", refX: 2, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto", markerUnits: "userSpaceOnUse",
  }, drawn("path", { d: "M0,0 L8,4 L0,8 z", class: id === "arrow" ? "tip" : "tip own" })))));
  for (const { route, isBack } of routes) {
    const own = route[0] === 0 || route[route.length - 1] === 0;
    svg.append(drawn("path", {
      d: curve(points, route),
      class: `edge${own ? " own" : ""}${isBack ? " back" : ""}`,
      "marker-end": isBack ? null : `url(#arrow${own ? "-own" : ""})`,
    }));
  }
  tensors.forEach((t, at) => {
    const { x, y, width: size } = points[at];
    const title = `${printable(computation.tensor(t))}, ${printable(computation.op(t))}, ${computation.type(t)} ${computation.shape(t)}`;
    const group = drawn("g", {
      class: `box ${boxKind(computation, t, chosen)}`,
      transform: `translate(${MARGIN + x - size / 2},${MARGIN + y})`,
      role: "button", tabindex: "0", "aria-label": title, "aria-current": t === chosen ? "true" : null,
    },
    drawn("title", {}, title),
    drawn("rect", { width: size, height: BOX, rx: 8 }),
    drawn("text", { x: size / 2, y: 18, class: "box-name" }, texts[at].name),
    drawn("text", { x: size / 2, y: 34, class: "box-more" }, texts[at].more));
    const go = () => choose(t);
    group.addEventListener("click", go);
    group.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); }
    });
    svg.append(group);
  });
  return { svg, left, center: MARGIN + points[0].x, middle: MARGIN + points[0].y + BOX / 2 };
}
