// The computation of a signature: tensors are numbers, which count the outputs of nodes through.

const CALL = 0, NAME = 1, OP = 2, HANDS_ON = 3, OUTPUTS = 4, READS = 5;

class Computation {
  constructor(body) {
    this.body = body;
    this.nodes = body.nodes;
    this.first = new Int32Array(this.nodes.length + 1);
    this.nodes.forEach((node, n) => { this.first[n + 1] = this.first[n] + node[OUTPUTS].length / 2; });
    this.count = this.first[this.nodes.length];
    this.nodeOf = new Int32Array(this.count);
    this.nodes.forEach((_, n) => this.nodeOf.fill(n, this.first[n], this.first[n + 1]));
    this.inputs = new Map(body.inputs);
    this.outputs = new Map(body.outputs);
    this.haystacks = new Array(this.count);
    this.linkReaders();
    this.follow();
  }

  op(t) { return this.body.ops[this.nodes[this.nodeOf[t]][OP]]; }
  index(t) { return t - this.first[this.nodeOf[t]]; }
  name(t) { return this.nodes[this.nodeOf[t]][NAME]; }
  tensor(t) { return `${this.name(t)}:${this.index(t)}`; }
  state(t) { return this.body.states[t]; }
  type(t) { return this.body.types[this.nodes[this.nodeOf[t]][OUTPUTS][2 * this.index(t)]]; }
  shape(t) { return this.body.shapes[this.nodes[this.nodeOf[t]][OUTPUTS][2 * this.index(t) + 1]]; }
  callOf(t) { return this.nodes[this.nodeOf[t]][CALL]; }
  isOnly(t) { const n = this.nodeOf[t]; return this.first[n + 1] - this.first[n] === 1; }

  // The call nodes that lead to a call, the outermost first.
  calls(place) {
    const found = [];
    for (let at = place; at >= 0; at = this.body.calls[at][0]) found.unshift(this.body.calls[at][1]);
    return found;
  }

  functionOf(t) {
    const place = this.callOf(t);
    return place < 0 ? "" : this.body.calls[place][2];
  }

  // What a tensor is computed from.
  reads(t) {
    if (this.inputs.has(t)) return [];
    const node = this.nodes[this.nodeOf[t]];
    return node[HANDS_ON] ? [node[READS][this.index(t)]] : node[READS];
  }

  linkReaders() {
    const starts = new Int32Array(this.count + 1);
    for (const node of this.nodes) for (const t of node[READS]) starts[t + 1] += 1;
    for (let t = 0; t < this.count; t += 1) starts[t + 1] += starts[t];
    const next = starts.slice();
    this.readerNodes = new Int32Array(starts[this.count]);
    this.nodes.forEach((node, n) => {
      for (const t of node[READS]) { this.readerNodes[next[t]] = n; next[t] += 1; }
    });
    this.readerStarts = starts;
  }

  // The tensors that are computed from a tensor.
  *readers(t) {
    let last = -1;
    for (let at = this.readerStarts[t]; at < this.readerStarts[t + 1]; at += 1) {
      const n = this.readerNodes[at];
      if (n === last) continue;
      last = n;
      const node = this.nodes[n];
      for (let other = this.first[n]; other < this.first[n + 1]; other += 1) {
        if (this.inputs.has(other)) continue;
        if (!node[HANDS_ON] || node[READS][other - this.first[n]] === t) yield other;
      }
    }
  }

  // Which tensors depend on the inputs of the signature.
  follow() {
    this.depends = new Uint8Array(this.count);
    const nodesMet = new Uint8Array(this.nodes.length);
    const waiting = [...this.inputs.keys()];
    for (const t of waiting) this.depends[t] = 1;
    while (waiting.length) {
      const t = waiting.pop();
      for (let at = this.readerStarts[t]; at < this.readerStarts[t + 1]; at += 1) {
        const n = this.readerNodes[at];
        const handsOn = this.nodes[n][HANDS_ON];
        if (nodesMet[n] && !handsOn) continue;
        nodesMet[n] = 1;
        for (let other = this.first[n]; other < this.first[n + 1]; other += 1) {
          const on = !handsOn || this.nodes[n][READS][other - this.first[n]] === t;
          if (on && !this.depends[other]) { this.depends[other] = 1; waiting.push(other); }
        }
      }
    }
  }

  isActivation(t) { return "aw".includes(this.body.states[t]) && this.depends[t] === 1; }

  // Whether a tensor is read outside of its scope, as the output of a layer is.
  leavesScope(t) {
    const name = this.name(t);
    const cut = name.lastIndexOf("/");
    const scope = cut < 0 ? "" : name.slice(0, cut + 1);
    const place = this.callOf(t);
    if (place < 0 && !scope) return false;
    for (let at = this.readerStarts[t]; at < this.readerStarts[t + 1]; at += 1) {
      const node = this.nodes[this.readerNodes[at]];
      let inside = node[NAME], call = node[CALL];
      while (call >= 0 && call !== place) { inside = this.body.calls[call][1]; call = this.body.calls[call][0]; }
      if (call !== place || !inside.startsWith(scope)) return true;
    }
    return false;
  }

  isPlaceholder(t) { return this.inputs.has(t) || this.op(t).startsWith("Placeholder"); }

  haystack(t) {
    if (this.haystacks[t] === undefined) {
      const calls = this.calls(this.callOf(t)).join("/");
      this.haystacks[t] = `${calls}/${this.tensor(t)} ${this.op(t)} ${this.type(t)} ${this.shape(t)}`.toLowerCase();
    }
    return this.haystacks[t];
  }

  // Through calls, which only hand on, to the tensor that is computed.
  origin(t) {
    let steps = 0;
    while (this.nodes[this.nodeOf[t]][HANDS_ON] && !this.inputs.has(t) && steps < 1000) {
      t = this.reads(t)[0];
      steps += 1;
    }
    return t;
  }

  producers(t) { return [...new Set(this.reads(t).map((each) => this.origin(each)))]; }

  consumers(t, most) {
    const found = new Set();
    const waiting = [t];
    const met = new Set(waiting);
    while (waiting.length && found.size < most) {
      for (const each of this.readers(waiting.pop())) {
        if (met.has(each)) continue;
        met.add(each);
        if (this.nodes[this.nodeOf[each]][HANDS_ON] && !this.outputs.has(each)) waiting.push(each);
        else found.add(each);
        if (found.size >= most) break;
      }
    }
    return [...found];
  }

  // A shortest way from an input to a tensor.
  path(t) {
    const after = new Map([[t, -1]]);
    let layer = [t];
    while (layer.length) {
      const next = [];
      for (const each of layer) {
        if (this.inputs.has(each)) {
          const found = [];
          for (let at = each; at >= 0; at = after.get(at)) found.push(at);
          return found;
        }
        for (const source of this.producers(each)) {
          if (this.depends[source] && !after.has(source)) { after.set(source, each); next.push(source); }
        }
      }
      layer = next;
    }
    return [];
  }

  // Alias and name as the command line takes them.
  written(t) {
    const unusual = this.body.unusual[t];
    if (unusual) return { alias: unusual[0], tensor: unusual[1] };
    const last = this.name(t).split("/").pop();
    const index = this.index(t);
    return { alias: index ? `${last}_${index}` : last, tensor: this.tensor(t) };
  }
}

const FILTERS = [
  ["activations", "Activations", "Computed from the inputs, as smpatch suggest lists them", (c, t) => c.isActivation(t)],
  ["layers", "Layer outputs", "Activations that are read outside of their scope", (c, t) => c.isActivation(t) && c.leavesScope(t)],
  ["placeholders", "Placeholders", "What the signature is fed, and other placeholders", (c, t) => c.isPlaceholder(t)],
  ["everything", "Everything", "Also weights, constants, handles and calls", () => true],
];

function globbed(pattern) {
  const source = [...pattern].map((each) =>
    each === "*" ? ".*" : each === "?" ? "." : each.replace(/[\\^$.|+()[\]{}]/, "\\$&")).join("");
  return new RegExp(`^${source}$`, "is");
}

// What tells whether a tensor is looked for; all words have to be found.
function sought(computation, text) {
  const tests = text.split(/\s+/).filter(Boolean).map((word) => {
    if (!/[*?]/.test(word)) {
      const lower = word.toLowerCase();
      return (t) => computation.haystack(t).includes(lower);
    }
    const pattern = globbed(word);
    return (t) => pattern.test(computation.tensor(t)) || (computation.index(t) === 0 && pattern.test(computation.name(t)));
  });
  return (t) => tests.every((test) => test(t));
}
