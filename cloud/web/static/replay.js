"use strict";
// The frontier: value fill over stock value; a line for each share of value, a numbered point for each policy.
(() => {
  const place = document.getElementById("frontier");
  const source = document.getElementById("frontier-data");
  if (!place || !source || typeof uPlot === "undefined") return;
  const data = JSON.parse(source.textContent);
  const lines = Object.entries(data.frontier), points = Object.entries(data.points);
  const xs = [...new Set([...lines.flatMap(([, line]) => line.map(([x]) => x)), ...points.map(([, [x]]) => x)])].sort((a, b) => a - b);
  const at = new Map(xs.map((x, index) => [x, index]));
  const column = (pairs) => {
    const values = new Array(xs.length).fill(null);
    pairs.forEach(([x, y]) => { values[at.get(x)] = y; });
    return values;
  };
  const columns = [xs, ...lines.map(([, line]) => column(line)), ...points.map(([, point]) => column([point]))];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const money = new Intl.NumberFormat("en-GB", { notation: "compact", maximumSignificantDigits: 3 });

  // Points that fall together share a label: their numbers stand beside it, one after the other.
  const numbers = (plot) => {
    const { ctx } = plot, scale = devicePixelRatio, told = [];
    ctx.save();
    ctx.font = `${12 * scale}px system-ui, sans-serif`;
    ctx.fillStyle = colour("--ink");
    points.forEach(([, [x, y]], index) => {
      const left = plot.valToPos(x, "x", true), top = plot.valToPos(y, "y", true);
      const near = told.find((one) => Math.hypot(one.left - left, one.top - top) < 10 * scale);
      if (near) near.text += `, ${index + 1}`; else told.push({ left, top, text: `${index + 1}` });
    });
    told.forEach(({ left, top, text }) => {
      const wide = ctx.measureText(text).width, over = left + 8 * scale + wide > plot.bbox.left + plot.bbox.width;
      ctx.fillText(text, over ? left - 8 * scale - wide : left + 8 * scale, top + 14 * scale);
    });
    ctx.restore();
  };

  const draw = () => {
    place.textContent = "";
    const ink = colour("--ink-soft"), grid = colour("--line");
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 18 };
    const dashes = [[], [8, 4], [4, 4], [2, 4]];
    const mark = (name) => (name === "oracle" ? colour("--good") : name.startsWith("forecast") ? colour("--accent") : colour("--bad"));
    return new uPlot({
      width: place.clientWidth,
      height: place.clientWidth < 500 ? 300 : 400,
      legend: { live: false },
      cursor: { show: false },
      hooks: { draw: [numbers] },
      scales: { x: { time: false }, y: { range: (_, min, max) => [Math.max(0, Math.floor(min - 2)), Math.min(101, max + 2)] } },
      axes: [{ ...axis, label: "Average stock value", values: (_, all) => all.map((v) => money.format(v)) }, { ...axis, label: "Value fill, %", size: 48 }],
      series: [
        { label: "Stock value" },
        ...lines.map(([share], index) => ({ label: `forecast, ${share} of value`, stroke: colour("--accent"), dash: dashes[index % 4], width: 1.5, spanGaps: true, points: { show: false } })),
        ...points.map(([name], index) => ({ label: `${index + 1} ${name}`, stroke: mark(name), paths: () => null, points: { show: true, size: 9, fill: name.startsWith("forecast") ? colour("--paper") : mark(name) } })),
      ],
    }, columns, place);
  };

  let plot = draw();
  new ResizeObserver(() => {
    if (Math.abs(plot.width - place.clientWidth) > 4) plot.setSize({ width: place.clientWidth, height: plot.height });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot.destroy(); plot = draw(); });
})();
