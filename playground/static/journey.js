// A write as it travelled: from the leader's own record of its requests, slowed down.

import { clear, draw } from "./svg.js";

const [LEFT, RIGHT] = [120, 430];
const PLAY_MS = 6000;

export class Journey {
  constructor(svg, list) {
    this.svg = svg;
    this.list = list;
    this.steps = [];
    this.next = 0;
    this.timer = null;
  }

  async load(index, frame) {
    cancelAnimationFrame(this.timer);
    const quorum = frame.write_quorum;
    const names = Object.fromEntries(frame.nodes.map((node) => [node.address, node.name]));
    const answer = await (await fetch(`/journey/${index}`)).json();
    const found = answer.map((each) => ({ ...each, follower: names[each.follower] ?? each.follower }));
    this.lanes = found;
    const acknowledged = found.map((each) => each.acknowledged_ms).sort((a, b) => a - b);
    const steps = found.flatMap((each) => [
      [each.formed_ms, `${each.follower}: request formed, delay of ${each.drawn_ms.toFixed(2)} ms drawn`],
      [each.sent_ms, `${each.follower}: sent`],
      [each.acknowledged_ms, `${each.follower}: acknowledged`],
    ]);
    if (quorum > 0 && acknowledged.length >= quorum) steps.push([acknowledged[quorum - 1], `confirmed: ${quorum} followers hold entry ${index}`]);
    this.steps = steps.sort((a, b) => a[0] - b[0]);
    this.end = Math.max(...acknowledged, 0.001);
    this.next = 0;
    this.list.replaceChildren();
    this.show(0);
    return found.length > 0;
  }

  show(nowMs) {
    clear(this.svg);
    const x = (ms) => LEFT + ((RIGHT - LEFT) * ms) / this.end;
    this.lanes.forEach((each, number) => {
      const y = 16 + number * 34;
      draw(this.svg, "text", { x: 2, y: y + 12, class: "soft" }, each.follower);
      const bar = (from, to, kind) => {
        const width = x(Math.min(to, nowMs)) - x(from);
        if (width > 0) draw(this.svg, "rect", { x: x(from), y, width, height: 16, class: kind });
      };
      bar(each.formed_ms, each.sent_ms, "bar-delay");
      bar(each.sent_ms, each.acknowledged_ms, "bar-exchange");
      if (nowMs >= each.acknowledged_ms) draw(this.svg, "text", { x: x(each.acknowledged_ms) - 14, y: y + 13, fill: "#fff" }, "✓");
    });
    draw(this.svg, "line", { x1: x(nowMs), x2: x(nowMs), y1: 8, y2: 16 + this.lanes.length * 34, class: "head" });
    draw(this.svg, "text", { x: LEFT, y: 206, class: "soft" }, `${nowMs.toFixed(2)} of ${this.end.toFixed(2)} ms; first the simulated delay, then the exchange`);
    while (this.next < this.steps.length && this.steps[this.next][0] <= nowMs) this.say();
  }

  say() {
    const [ms, text] = this.steps[this.next++];
    const item = document.createElement("li");
    item.textContent = `${ms.toFixed(2)} ms: ${text}`;
    this.list.append(item);
  }

  play() {
    const begin = performance.now();
    const tick = () => {
      const share = Math.min((performance.now() - begin) / PLAY_MS, 1);
      this.show(share * this.end);
      if (share < 1) this.timer = requestAnimationFrame(tick);
    };
    tick();
  }

  step() {
    cancelAnimationFrame(this.timer);
    if (this.next < this.steps.length) this.show(this.steps[this.next][0]);
  }
}
