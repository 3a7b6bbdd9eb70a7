// Tensors as a tree of scopes, and the rows of it that are open.

class Scope {
  constructor(parent, label, isCall) {
    this.parent = parent;
    this.label = label;
    this.isCall = isCall;
    this.children = [];
    this.scopes = new Map();
    this.size = 0;
    this.key = parent ? `${parent.key}${isCall ? "\u0001" : "\u0002"}${label}` : "";
  }

  scope(label, isCall) {
    const key = (isCall ? "c" : "s") + label;
    let found = this.scopes.get(key);
    if (!found) {
      found = new Scope(this, label, isCall);
      this.scopes.set(key, found);
      this.children.push(found);
    }
    return found;
  }
}

function scopesOf(computation, tensors) {
  const root = new Scope(null, "", false);
  const places = new Map([[-1, root]]);
  const placed = (place) => {
    if (!places.has(place)) {
      const [above, name] = computation.body.calls[place];
      const parts = name.split("/");
      let scope = placed(above);
      for (const part of parts.slice(0, -1)) scope = scope.scope(part, false);
      places.set(place, scope.scope(parts[parts.length - 1], true));
    }
    return places.get(place);
  };
  const known = new Map();
  for (const t of tensors) {
    const name = computation.name(t);
    const place = computation.callOf(t);
    const cut = name.lastIndexOf("/");
    const key = `${place}/${name.slice(0, Math.max(cut, 0))}`;
    let scope = known.get(key);
    if (!scope) {
      scope = placed(place);
      if (cut >= 0) for (const part of name.slice(0, cut).split("/")) scope = scope.scope(part, false);
      known.set(key, scope);
    }
    scope.children.push(t);
    for (let at = scope; at; at = at.parent) at.size += 1;
  }
  return root;
}

// A scope that holds one scope stands in one row with it. One that holds one tensor does, too, if
// the row stays short: a call or more than two scopes keep a row of their own.
function merged(child) {
  const labels = [];
  let at = child;
  while (at instanceof Scope && at.children.length === 1) { labels.push(at); at = at.children[0]; }
  if (at instanceof Scope) return { labels, at };
  let kept = labels.length;
  while (kept > 0 && labels.length - kept < 2 && !labels[kept - 1].isCall) kept -= 1;
  return kept === 0 ? { labels, at } : { labels: labels.slice(0, kept - 1), at: labels[kept - 1] };
}

class Rows {
  constructor(computation) {
    this.computation = computation;
    this.opened = new Map();
    this.all = [];
  }

  show(tensors, { openAll }) {
    this.root = scopesOf(this.computation, tensors);
    this.openAll = openAll;
    this.only = merged(this.root).at;
    this.flatten();
  }

  isOpen(scope) {
    const chosen = this.opened.get(scope.key);
    return chosen === undefined ? this.openAll || scope === this.only : chosen;
  }

  set(scope, open) { this.opened.set(scope.key, open); }

  setAll(open) {
    this.opened.clear();
    this.openAll = open;
    this.flatten();
    if (!open) for (const row of this.all) if (row.scope) this.set(row.scope, false);
    this.flatten();
  }

  flatten() {
    const rows = [];
    const waiting = [{ children: this.root.children, at: 0, level: 1 }];
    while (waiting.length) {
      const top = waiting[waiting.length - 1];
      if (top.at === top.children.length) { waiting.pop(); continue; }
      const { labels, at } = merged(top.children[top.at]);
      top.at += 1;
      const row = { labels, level: top.level, position: top.at, setSize: top.children.length };
      rows.push(row);
      if (at instanceof Scope) {
        row.scope = at;
        row.labels = [...labels, at];
        row.open = this.isOpen(at);
        if (row.open) waiting.push({ children: at.children, at: 0, level: top.level + 1 });
      } else {
        row.tensor = at;
      }
    }
    this.all = rows;
  }

  // Open what a tensor lies in; return its row, or -1 where it is not listed.
  reveal(t) {
    const found = () => this.all.findIndex((row) => row.tensor === t);
    let at = found();
    if (at >= 0) return at;
    let scope = this.root;
    const computation = this.computation;
    const steps = [];
    for (const name of computation.calls(computation.callOf(t))) {
      const parts = name.split("/");
      parts.forEach((part, place) => steps.push([part, place === parts.length - 1]));
    }
    for (const part of computation.name(t).split("/").slice(0, -1)) steps.push([part, false]);
    for (const [part, isCall] of steps) {
      scope = scope.scopes.get((isCall ? "c" : "s") + part);
      if (!scope) return -1;
      this.set(scope, true);
    }
    if (!scope.children.includes(t)) return -1;
    this.flatten();
    at = found();
    return at;
  }
}
