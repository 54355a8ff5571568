// A write as it travelled: from the leader's own record of its requests, slowed down.

import { drawPackets } from "./packets.js";
import { clear, draw } from "./svg.js";

const [LEFT, RIGHT] = [120, 430];
const PLAY_MS = 5000;
const TICK_MS = 40;

export class Journey {
  constructor({ lanes, packets, links, list }) {
    this.lanesSvg = lanes;
    this.packetsSvg = packets;
    this.links = links;
    this.list = list;
    this.lanes = [];
    this.steps = [];
    this.next = 0;
    this.timer = null;
  }

  get isAtEnd() {
    return this.next >= this.steps.length;
  }

  async load(index, frame) {
    const answer = await fetch(`/journey/${index}`);
    if (!answer.ok) return false;
    const names = Object.fromEntries(frame.nodes.map((node) => [node.address, node.name]));
    const found = (await answer.json()).map((each) => ({ ...each, name: names[each.address] ?? each.address }));
    if (!found.length) return false;
    this.pause();
    this.index = index;
    this.lanes = found;
    this.steps = stepsOf(found, index, frame.write_quorum);
    this.end = Math.max(...found.map((each) => each.acknowledged_ms), 0.001);
    this.next = 0;
    this.list.replaceChildren();
    this.show(0);
    return true;
  }

  show(nowMs) {
    this.nowMs = nowMs;
    this.drawLanes();
    this.drawPackets();
    while (!this.isAtEnd && this.steps[this.next].ms <= nowMs) this.say(this.steps[this.next++]);
  }

  // The links are drawn anew with every frame, so the packets are as well.
  drawPackets() {
    if (this.lanes.length) drawPackets(this.packetsSvg, this.links, this.lanes, this.nowMs, this.caption);
  }

  get caption() {
    const count = this.lanes.filter((each) => each.acknowledged_ms <= this.nowMs).length;
    const confirmed = this.steps.some((each) => each.confirms && each.ms <= this.nowMs) ? ", confirmed" : "";
    return `entry ${this.index}, ${this.nowMs.toFixed(2)} ms: ${count} acknowledged${confirmed}`;
  }

  drawLanes() {
    const { nowMs, lanesSvg: svg } = this;
    clear(svg);
    const x = (ms) => LEFT + ((RIGHT - LEFT) * ms) / this.end;
    const bottom = 16 + this.lanes.length * 34;
    svg.setAttribute("viewBox", `0 0 440 ${bottom + 24}`);
    this.lanes.forEach((each, number) => {
      const y = 16 + number * 34;
      draw(svg, "text", { x: 2, y: y + 12, class: "soft" }, each.name);
      const bar = (from, to, kind) => {
        const width = x(Math.min(to, nowMs)) - x(from);
        if (width > 0) draw(svg, "rect", { x: x(from), y, width, height: 16, class: kind });
      };
      bar(each.formed_ms, each.sent_ms, "bar-delay");
      bar(each.sent_ms, each.acknowledged_ms, "bar-exchange");
      if (nowMs >= each.acknowledged_ms) draw(svg, "text", { x: x(each.acknowledged_ms) - 14, y: y + 13, class: "on-bar" }, "✓");
    });
    const confirmed = this.steps.find((each) => each.confirms);
    if (confirmed && nowMs >= confirmed.ms) {
      draw(svg, "line", { x1: x(confirmed.ms), x2: x(confirmed.ms), y1: 8, y2: bottom, class: "confirmation" });
    }
    draw(svg, "line", { x1: x(nowMs), x2: x(nowMs), y1: 8, y2: bottom, class: "head" });
    const slower = Math.round(PLAY_MS / this.end);
    draw(svg, "text", { x: LEFT, y: bottom + 16, class: "soft" }, `entry ${this.index}: ${nowMs.toFixed(2)} of ${this.end.toFixed(2)} ms, ${slower} times slower`);
  }

  say({ ms, text }) {
    const item = document.createElement("li");
    item.textContent = `${ms.toFixed(2)} ms: ${text}`;
    this.list.append(item);
  }

  // Until it has come to its end, or is interrupted.
  play() {
    this.pause();
    return new Promise((resolve) => {
      this.interrupted = resolve;
      const begin = performance.now() - (PLAY_MS * this.nowMs) / this.end;
      const tick = () => {
        const share = Math.min((performance.now() - begin) / PLAY_MS, 1);
        this.show(share * this.end);
        if (share < 1) this.timer = setTimeout(tick, TICK_MS);
        else resolve();
      };
      tick();
    });
  }

  pause() {
    clearTimeout(this.timer);
    this.interrupted?.();
  }

  step() {
    this.pause();
    if (!this.isAtEnd) this.show(this.steps[this.next].ms);
  }
}

function stepsOf(lanes, index, quorum) {
  const steps = lanes.flatMap((each) => [
    { ms: each.formed_ms, text: `${each.name}: request formed, delay of ${each.drawn_ms.toFixed(2)} ms drawn` },
    { ms: each.sent_ms, text: `${each.name}: sent` },
    { ms: each.acknowledged_ms, text: `${each.name}: acknowledged` },
  ]);
  const acknowledged = lanes.map((each) => each.acknowledged_ms).sort((a, b) => a - b);
  if (quorum > 0 && acknowledged.length >= quorum) {
    steps.push({ ms: acknowledged[quorum - 1], text: `confirmed: ${quorum} followers hold entry ${index}`, confirms: true });
  }
  return steps.sort((a, b) => a.ms - b.ms);
}
