// The requests of one write, on the links of the picture, in the time of the leader's record. Where a
// request is between sending and acknowledgement is not recorded: it turns round halfway.

import { clear, draw } from "./svg.js";

const WAITS_AT = 0.16;

export function drawPackets(svg, links, lanes, nowMs, caption) {
  clear(svg);
  draw(svg, "text", { x: 10, y: 294 }, caption);
  for (const lane of lanes) {
    const link = links.querySelector(`[data-address="${CSS.escape(lane.address)}"]`);
    if (!link || nowMs < lane.formed_ms || nowMs >= lane.acknowledged_ms) continue;
    const [where, kind, text] = state(lane, nowMs);
    const { x, y } = link.getPointAtLength(where * link.getTotalLength());
    draw(svg, "circle", { cx: x, cy: y, r: 9, class: `packet ${kind}` });
    draw(svg, "text", { x, y: y + 4, "text-anchor": "middle", class: "packet-text" }, text);
  }
}

function state(lane, nowMs) {
  if (nowMs < lane.sent_ms) return [WAITS_AT, "waits", "…"];
  const share = (nowMs - lane.sent_ms) / (lane.acknowledged_ms - lane.sent_ms);
  if (share < 0.5) return [WAITS_AT + (1 - WAITS_AT) * 2 * share, "sent", "↓"];
  return [2 - 2 * share, "acknowledged", "↑"];
}
