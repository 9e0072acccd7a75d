"use strict";

(() => {
  const holder = document.getElementById("frontier-chart");
  if (!holder) return;
  const { spec, data } = JSON.parse(document.getElementById("frontier-data").textContent);
  const controls = Object.fromEntries(
    [...document.querySelectorAll("[data-chart]")].map((control) => [control.dataset.chart, control]),
  );
  const node = holder.querySelector(".plot");
  const legend = holder.querySelector(".legend");
  const numbered = holder.querySelector(".numbered");
  const narrow = window.matchMedia("(max-width: 40rem)");
  // Fingers cannot hover: a tap at a point tells it, and lines and legend bring forward.
  const fingers = window.matchMedia("(hover: none)");
  let view = null;
  let front = "";
  let drawing = 0;

  const dataset = () => data.datasets[Number(controls.dataset.value)];
  const inUsd = () => controls.unit.value === "usd";
  const own = (cost) => (inUsd() ? cost * data.unit : cost);
  // Rows without a shrunk twin are the same either way.
  const shown = () =>
    data.routers.filter(({ shrunk, twin }) => (controls.rows.value === "shrunk" ? shrunk || !twin : !shrunk));
  const lines = () => dataset().lines[controls.points.value] ?? {};
  const drawable = () => shown().filter(({ name }) => Object.hasOwn(lines(), name));

  // The straight line over cost between two points is curved on a log axis.
  function mixed(costs, utilities, named) {
    const rows = [];
    costs.forEach((cost, at) => {
      rows.push({ ...named, cost, usd: cost * data.unit, utility: utilities[at] });
      const next = costs[at + 1];
      if (at + 1 === costs.length || next <= cost) return;
      const from = cost > 0 ? cost : next / 1000;
      const steps = Math.ceil(Math.log(next / from) / 0.12);
      for (let step = cost > 0 ? 1 : 0; step < steps; step++) {
        const between = from * (next / from) ** (step / steps);
        const share = (between - cost) / (next - cost);
        const utility = utilities[at] + share * (utilities[at + 1] - utilities[at]);
        rows.push({ ...named, cost: between, usd: between * data.unit, utility });
      }
    });
    return rows;
  }

  function inWords(traffic) {
    const parts = [];
    for (let at = 0; at < traffic.length; at += 2) parts.push(`${data.models[traffic[at]]} ${traffic[at + 1]}%`);
    return parts.join(", ");
  }

  function points(router) {
    const [costs, utilities, lows, highs, thresholds, traffic] = lines()[router];
    return costs.map((cost, at) => ({
      router, cost, usd: cost * data.unit, utility: utilities[at], low: lows[at], high: highs[at],
      threshold: String(thresholds[at] ?? "–"), traffic: inWords(traffic[at]), alone: costs.length === 1,
    }));
  }

  function models() {
    return dataset().models.map(([model, cost, utility, low, high]) => ({
      model, cost, usd: cost * data.unit, utility, low, high, label: "", dx: 0, dy: 0,
    }));
  }

  function budget() {
    const step = data.budgets.steps[controls.budget ? Number(controls.budget.value) : 0];
    if (!step || dataset().name !== "full") return { at: [], offered: [] };
    return {
      at: [{ usd: step.usd, cost: step.usd / data.unit }],
      offered: step.points.map(([usd, utility], at) => ({
        usd, cost: usd / data.unit, utility, run: step.rows[at][0], which: ["advised", "zero", "single"][at],
      })),
    };
  }

  function axis() {
    const { cost, free } = dataset();
    const [low, high] = cost.map(own);
    // Where all is free no other axis has an extent.
    if (controls.scale.value === "linear" || !high) return { type: "linear", domain: [0, 1.04 * high || 1], nice: false };
    if (free) return { type: "symlog", constant: low, domain: [0, 1.2 * high], nice: false };
    return { type: "log", domain: [low / 1.2, 1.2 * high], nice: false };
  }

  function ticks(scale) {
    if (scale.type === "linear") return {};
    const values = scale.type === "symlog" ? [0] : [];
    const [low, high] = dataset().cost.map(own);
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) values.push(10 ** power);
    return { values };
  }

  function filled() {
    const rows = drawable();
    const drawn = structuredClone(spec);
    const scale = axis();
    const domain = rows.map(({ name }) => name);
    drawn.params.forEach((parameter) => delete parameter.bind);
    drawn.params.find(({ name }) => name === "front").value = front;
    drawn.params.find(({ name }) => name === "bands").value = controls.bands.checked;
    drawn.height = narrow.matches ? 320 : 440;
    drawn.encoding.x = {
      ...drawn.encoding.x, field: controls.unit.value, title: data.titles[controls.unit.value], scale,
      axis: { ...drawn.encoding.x.axis, ...ticks(scale), labelOverlap: true },
    };
    drawn.encoding.y.scale = { domain: dataset().height, zero: false, nice: false };
    drawn.encoding.color = {
      ...drawn.encoding.color, legend: null, scale: { domain, range: rows.map(({ colour }) => colour) },
    };
    for (const { encoding } of drawn.layer) {
      if (encoding.strokeDash?.field === "router") {
        encoding.strokeDash.scale = { domain, range: rows.map(({ dash }) => (dash.length ? dash : [1, 0])) };
      }
    }
    const { at, offered } = budget();
    drawn.datasets = {
      points: domain.flatMap(points),
      lines: domain.flatMap((router) => mixed(lines()[router][0], lines()[router][1], { router })),
      static: dataset().static.flatMap(([costs, utilities], which) =>
        mixed(costs, utilities, { static: data.static[which].name })),
      models: models(), budget: at, offered,
    };
    return drawn;
  }

  // Each label stands where its own point is the nearest, and nothing else is.
  function place(rows) {
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "11px sans-serif";
    const [x, y] = ["x", "y"].map((name) => view.scale(name));
    const [width, height] = [view.signal("width"), view.signal("height")];
    const field = controls.unit.value;
    const at = rows.map((row) => ({ x: x(row[field]), y: y(row.utility) }));
    const taken = [];
    const gap = (box, point) =>
      Math.hypot(Math.max(box.left - point.x, 0, point.x - box.right), Math.max(box.top - point.y, 0, point.y - box.bottom));
    const free = (box, which) =>
      box.left >= 0 && box.right <= width && box.top >= 0 && box.bottom <= height &&
      !taken.some((other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom) &&
      at.every((point, other) => other === which || gap(box, point) > Math.max(6, 1.6 * gap(box, at[which])));
    const find = (text, which) => {
      const [wide, high] = [pen.measureText(text).width + 2, 15];
      for (const far of [7, 10, 14, 19]) {
        for (const [across, up] of [[1, 0], [1, -1], [1, 1], [0, -1], [0, 1], [-1, 0], [-1, -1], [-1, 1], [0.5, -1], [-0.5, -1], [0.5, 1], [-0.5, 1]]) {
          const slant = across && up ? 0.75 : 1;
          const left = at[which].x + across * far * slant - (wide * (1 - across)) / 2;
          const top = at[which].y + up * far * slant - (high * (1 - up)) / 2;
          const box = { left, right: left + wide, top, bottom: top + high };
          if (free(box, which)) return box;
        }
      }
      return null;
    };
    const counted = [];
    const order = rows.map((_, which) => which);
    const placed = rows.map((row) => ({ ...row }));
    const put = (which, text, box) => {
      taken.push(box);
      placed[which] = { ...rows[which], label: text, dx: box.left + 1 - at[which].x, dy: (box.top + box.bottom) / 2 - at[which].y };
    };
    const left = order.filter((which) => {
      const box = find(rows[which].model, which);
      if (box) put(which, rows[which].model, box);
      return !box;
    });
    for (const which of left) {
      counted.push(rows[which].model);
      const text = String(counted.length);
      const half = pen.measureText(text).width / 2 + 1;
      const over = { left: at[which].x - half, right: at[which].x + half, top: at[which].y - 6, bottom: at[which].y + 6 };
      put(which, text, find(text, which) ?? over);
    }
    numbered.textContent = counted.map((model, index) => `${index + 1}: ${model}`).join(" · ");
    return placed;
  }

  function bring(router) {
    front = front === router ? "" : router;
    mark();
    view?.signal("front", front).run();
  }

  function mark() {
    legend.querySelectorAll("button").forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.router === front));
    });
  }

  function element(kind, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    Object.entries(attributes).forEach(([name, value]) => made.setAttribute(name, value));
    return made;
  }

  // What stands in the chart: a line, or a diamond where there is but one point.
  function swatch(colour, dash, alone) {
    const drawn = element("svg", { width: 26, height: 10, "aria-hidden": true });
    drawn.append(
      alone
        ? element("path", { d: "M13 0L18 5L13 10L8 5Z", fill: colour })
        : element("line", { x1: 0, x2: 26, y1: 5, y2: 5, stroke: colour, "stroke-width": 2.5, "stroke-dasharray": dash.join(" ") }),
    );
    return drawn;
  }

  function list() {
    const rows = drawable();
    if (!rows.some(({ name }) => name === front)) front = "";
    const buttons = [...rows].sort((a, b) => b.prominent - a.prominent).map(({ name, colour, dash }) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.router = name;
      button.append(swatch(colour, dash, lines()[name][0].length === 1), name);
      button.addEventListener("click", () => bring(name));
      return button;
    });
    const others = data.static.map(({ title }, which) => {
      const entry = document.createElement("span");
      entry.append(swatch("currentColor", [[8, 4], [2, 3]][which], false), title);
      return entry;
    });
    legend.replaceChildren(...buttons, ...others);
    mark();
  }

  async function draw() {
    const turn = ++drawing;
    list();
    const drawn = filled();
    const result = await window.draw(node, drawn);
    if (turn !== drawing) return result.finalize();
    view?.finalize();
    view = result.view;
    node.querySelector("svg")?.setAttribute("aria-hidden", "true");
    await view.data("models", place(models())).runAsync();
    view.addEventListener("click", (event, item) => {
      const read = fingers.matches && item?.tooltip;
      if (fingers.matches) view.tooltip()(null, event, item, read);
      if (item?.datum?.router && !read) bring(item.datum.router);
    });
    holder.dataset.drawn = String(turn);
  }

  function offer() {
    const step = data.budgets.steps[Number(controls.budget.value)];
    controls.budget.setAttribute("aria-valuetext", step.asked);
    document.getElementById("frontier-asked").textContent = step.asked;
    const body = document.getElementById("frontier-offer");
    step.rows.forEach((cells, row) => cells.forEach((text, at) => (body.rows[row].cells[at].textContent = text)));
    const { at, offered } = budget();
    view?.data("budget", at).data("offered", offered).run();
  }

  data.datasets.forEach(({ name }, at) => controls.dataset.append(new Option(name === "full" ? "all data sets" : name, at)));
  if (!data.datasets[0].lines.train) controls.points.value = "test";
  document.documentElement.classList.add("interactive");
  Object.entries(controls).forEach(([name, control]) => {
    if (name === "budget") control.addEventListener("input", offer);
    else if (name === "bands") control.addEventListener("change", () => view?.signal("bands", control.checked).run());
    else control.addEventListener("change", draw);
  });
  narrow.addEventListener("change", draw);
  if (controls.budget) offer();
  const whenSeen = new IntersectionObserver((entries, seen) => {
    if (!entries.some(({ isIntersecting }) => isIntersecting)) return;
    seen.disconnect();
    draw();
  });
  whenSeen.observe(holder);
})();
