// Curves of the last minute, with marks where something was changed.

import { clear, draw } from "./svg.js";

const [LEFT, RIGHT, TOP, BOTTOM] = [46, 436, 14, 90];

export function drawCurves(svg, frame, title, unit, names) {
  clear(svg);
  const history = frame.history;
  const values = names.flatMap((name) => history.map((second) => second[name])).filter((value) => value !== null);
  const top = Math.max(1, ...values) * 1.1;
  const x = (number) => LEFT + ((RIGHT - LEFT) * number) / (history.length - 1);
  const y = (value) => BOTTOM - ((BOTTOM - TOP) * value) / top;
  draw(svg, "line", { x1: LEFT, x2: RIGHT, y1: BOTTOM, y2: BOTTOM, class: "axis" });
  draw(svg, "text", { x: LEFT, y: 10, class: "soft" }, title);
  draw(svg, "text", { x: LEFT - 4, y: y(top / 1.1) + 4, "text-anchor": "end", class: "soft" }, `${(top / 1.1).toPrecision(3)}${unit}`);
  draw(svg, "text", { x: LEFT - 4, y: BOTTOM, "text-anchor": "end", class: "soft" }, "0");
  draw(svg, "text", { x: RIGHT, y: BOTTOM + 14, "text-anchor": "end", class: "soft" }, "now");
  draw(svg, "text", { x: LEFT, y: BOTTOM + 14, class: "soft" }, "60 s ago");
  for (const mark of frame.marks) {
    const at = RIGHT - ((RIGHT - LEFT) * mark.ago_s) / 60;
    const line = draw(svg, "line", { x1: at, x2: at, y1: TOP, y2: BOTTOM, class: "mark" });
    draw(line, "title", {}, mark.text);
  }
  names.forEach((name, number) => {
    let path = "";
    history.forEach((second, index) => {
      if (second[name] === null) return;
      const before = index > 0 && history[index - 1][name] !== null;
      path += `${before ? "L" : "M"} ${x(index).toFixed(1)} ${y(second[name]).toFixed(1)} `;
      if (!before) path += "h 0.1 ";
    });
    draw(svg, "path", { d: path || "M 0 0", class: number ? "curve second" : "curve" });
  });
}

export function describeOutcomes(frame) {
  const sum = (name) => frame.history.reduce((total, second) => total + second[name], 0);
  return `Last minute: ${sum("confirmed")} confirmed (200), ${sum("refused")} refused (503), ${sum("open")} open (504), ${sum("unreachable")} found no leader.`;
}
