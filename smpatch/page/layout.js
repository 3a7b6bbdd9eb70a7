// A small layered layout: nodes in layers by the longest way, ordered by their neighbours' places.

const GAP = 18, LAYER_GAP = 40;

// The edges without those that close a cycle.
function acyclic(count, edges) {
  const out = Array.from({ length: count }, () => []);
  edges.forEach(([from, to], at) => out[from].push([to, at]));
  const state = new Uint8Array(count);
  const back = new Set();
  for (let root = 0; root < count; root += 1) {
    if (state[root]) continue;
    const stack = [[root, 0]];
    state[root] = 1;
    while (stack.length) {
      const top = stack[stack.length - 1];
      if (top[1] === out[top[0]].length) { state[top[0]] = 2; stack.pop(); continue; }
      const [to, at] = out[top[0]][top[1]];
      top[1] += 1;
      if (state[to] === 1) back.add(at);
      else if (!state[to]) { state[to] = 1; stack.push([to, 0]); }
    }
  }
  return edges.map(([from, to], at) => (back.has(at) ? [to, from, true] : [from, to, false]))
    .filter(([from, to]) => from !== to);
}

function layersOf(count, edges) {
  const ins = Array.from({ length: count }, () => []);
  const outs = Array.from({ length: count }, () => []);
  for (const [from, to] of edges) { ins[to].push(from); outs[from].push(to); }
  const layer = new Int32Array(count);
  const left = ins.map((each) => each.length);
  const order = [];
  for (let node = 0; node < count; node += 1) if (!left[node]) order.push(node);
  for (let at = 0; at < order.length; at += 1) {
    for (const to of outs[order[at]]) {
      layer[to] = Math.max(layer[to], layer[order[at]] + 1);
      left[to] -= 1;
      if (!left[to]) order.push(to);
    }
  }
  // What reads nothing here stands right before its first reader.
  for (const node of order.slice().reverse()) {
    if (!ins[node].length && outs[node].length) layer[node] = Math.min(...outs[node].map((to) => layer[to])) - 1;
  }
  return layer;
}

// Places as near to the wanted ones as order and widths allow (pool adjacent violators).
function placed(wanted, widths) {
  const offsets = [0];
  for (let at = 1; at < wanted.length; at += 1) {
    offsets[at] = offsets[at - 1] + (widths[at - 1] + widths[at]) / 2 + GAP;
  }
  const blocks = [];
  wanted.forEach((want, at) => {
    blocks.push({ sum: want - offsets[at], count: 1 });
    while (blocks.length > 1) {
      const last = blocks[blocks.length - 1], before = blocks[blocks.length - 2];
      if (before.sum / before.count <= last.sum / last.count) break;
      blocks.pop();
      before.sum += last.sum;
      before.count += last.count;
    }
  });
  const found = [];
  for (const block of blocks) for (let each = 0; each < block.count; each += 1) found.push(block.sum / block.count);
  return found.map((value, at) => value + offsets[at]);
}

// widths: of the nodes; edges: pairs of their numbers; height: of each node.
function layered(widths, edges, height) {
  const count = widths.length;
  const forward = acyclic(count, edges);
  const layer = layersOf(count, forward);
  const lowest = Math.min(0, ...layer);
  const points = widths.map((width, node) => ({ width, layer: layer[node] - lowest, x: 0, up: [], down: [] }));
  const routes = forward.map(([from, to, isBack]) => {
    const route = [from];
    for (let at = points[from].layer + 1; at < points[to].layer; at += 1) {
      points.push({ width: 4, layer: at, x: 0, up: [], down: [] });
      route.push(points.length - 1);
    }
    route.push(to);
    for (let at = 1; at < route.length; at += 1) {
      points[route[at - 1]].down.push(route[at]);
      points[route[at]].up.push(route[at - 1]);
    }
    return { route, isBack };
  });
  const rows = [];
  points.forEach((point, node) => { (rows[point.layer] ||= []).push(node); });
  for (let at = 0; at < rows.length; at += 1) rows[at] ||= [];
  arrange(rows, points);
  const left = Math.min(...points.map((point) => point.x - point.width / 2));
  for (const point of points) {
    point.x -= left;
    point.y = point.layer * (height + LAYER_GAP);
  }
  const width = Math.max(...points.map((point) => point.x + point.width / 2));
  return { points, routes, width, height: rows.length * (height + LAYER_GAP) - LAYER_GAP };
}

function arrange(rows, points) {
  const mean = (nodes, fallback) =>
    nodes.length ? nodes.reduce((sum, node) => sum + points[node].x, 0) / nodes.length : fallback;
  const settle = (row, side) => {
    const wanted = row.map((node) => mean(points[node][side], points[node].x));
    const places = placed(wanted, row.map((node) => points[node].width));
    row.forEach((node, at) => { points[node].x = places[at]; });
  };
  for (const row of rows) row.forEach((node, at) => { points[node].x = at * 120; });
  for (let sweep = 0; sweep < 12; sweep += 1) {
    const down = sweep % 2 === 0;
    const side = down ? "up" : "down";
    for (const row of down ? rows : rows.slice().reverse()) {
      if (sweep < 8) {
        const keys = new Map(row.map((node) => [node, mean(points[node][side], points[node].x)]));
        row.sort((one, other) => keys.get(one) - keys.get(other));
      }
      settle(row, side);
    }
  }
  for (const row of rows) {
    const wanted = row.map((node) => mean([...points[node].up, ...points[node].down], points[node].x));
    const places = placed(wanted, row.map((node) => points[node].width));
    row.forEach((node, at) => { points[node].x = places[at]; });
  }
}
