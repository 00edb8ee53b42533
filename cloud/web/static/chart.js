"use strict";
// The item's chart: demand and its forecast fan on the left scale, stock on the right one, stock-outs and campaigns marked,
// and the fan of what is supposed beside the one that stands.
(() => {
  const place = document.getElementById("chart");
  const source = document.getElementById("chart-data");
  if (!place || !source || typeof uPlot === "undefined") return;
  const data = JSON.parse(source.textContent);
  const supposed = "w50" in data;
  const names = ["time", "p05", "p25", "p50", "p75", "p95", "demand", "stock", "out", ...(supposed ? ["w05", "w50", "w95"] : [])];
  const columns = names.map((name) => data[name]);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = (value) => (value === null || value === undefined ? "–" : Math.round(value * 10) / 10);

  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

  const shade = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.textBaseline = "top";
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    for (const one of data.campaigns) {
      const left = u.valToPos(one.from, "x", true), right = u.valToPos(one.to, "x", true);
      if (right < bbox.left || left > bbox.left + bbox.width) continue;
      ctx.fillStyle = colour("--new");
      ctx.fillRect(left, bbox.top, Math.max(right - left, 2), bbox.height);
      ctx.fillStyle = colour("--ink-soft");
      ctx.fillText(`${one.name} ${one.uplift > 0 ? "+" : ""}${Math.round(one.uplift)} %`, Math.max(left, bbox.left) + 3, bbox.top + 3);
    }
    ctx.restore();
  };

  const draw = () => {
    place.textContent = "";
    const ink = colour("--ink-soft"), grid = colour("--line");
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid }, font: "12px system-ui, sans-serif" };
    const edge = (label) => ({ label, stroke: "transparent", points: { show: false }, value: (_, v) => number(v) });
    const options = {
      width: place.clientWidth,
      height: place.clientWidth < 500 ? 260 : 340,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      cursor: { points: { size: 6 } },
      scales: { x: { time: true }, y: { range: (_, min, max) => [0, Math.max(max || 0, 1) * 1.08] },
        stock: { range: (_, min, max) => [Math.min(0, min || 0), Math.max(max || 0, 1) * 1.08] } },
      axes: [{ ...axis, values: (_, all) => all.map((v) => day.format(new Date(v * 1000))) }, { ...axis, label: "Demand a day", labelFont: "12px system-ui, sans-serif", labelSize: 18, size: 48 },
        { ...axis, side: 1, scale: "stock", grid: { show: false }, label: "Stock", labelFont: "12px system-ui, sans-serif", labelSize: 18, size: 56 }],
      bands: [{ series: [5, 1], fill: colour("--fan-wide") }, { series: [4, 2], fill: colour("--fan") }],
      series: [
        { label: "Day", value: (_, v) => (v ? new Date(v * 1000).toISOString().slice(0, 10) : "–") },
        edge("5 %"), edge("25 %"),
        { label: "Median", stroke: colour("--accent"), width: 2, dash: [6, 3], points: { show: false }, value: (_, v) => number(v) },
        edge("75 %"), edge("95 %"),
        { label: "Demand", stroke: colour("--accent"), width: 1.5, points: { show: false }, value: (_, v) => number(v) },
        { label: "Stock", scale: "stock", stroke: colour("--stock"), width: 1.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false }, value: (_, v) => number(v) },
        { label: "Stock-out", stroke: colour("--bad"), paths: () => null, points: { show: true, size: 7, fill: colour("--bad") }, value: (_, v) => (v === null ? "no" : "yes") },
        ...(supposed ? [["5 %", 1], ["median", 2], ["95 %", 1]] : []).map(([label, width]) => ({ label: `Supposed, ${label}`, stroke: colour("--bad"), width, dash: [2, 3], points: { show: false }, value: (_, v) => number(v) })),
      ],
      hooks: { drawClear: [shade] },
    };
    return new uPlot(options, columns, place);
  };

  let plot = draw();
  new ResizeObserver(() => {
    if (Math.abs(plot.width - place.clientWidth) > 4) plot.setSize({ width: place.clientWidth, height: plot.height });
  }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { plot.destroy(); plot = draw(); });
})();
