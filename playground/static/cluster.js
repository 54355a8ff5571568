// The cluster as a picture, the tape of every log, and the table of the nodes.

import { clear, draw } from "./svg.js";

const DEEDS = {
  leader: [["freeze", "thaw"], ["kill", "start"], ["cut", "heal"], ["restart"], ["empty"], ["replace"]],
  "former leader": [["freeze", "thaw"], ["kill", "start"], ["cut", "heal"]],
  follower: [["freeze", "thaw"], ["kill", "start"], ["cut", "heal"], ["empty"]],
};
const FAULT_OF = { thaw: "frozen", start: "stopped", heal: "cut off" };

const stateOf = (node) =>
  node.status ? node.status.problem || node.status.state : `does not answer${node.faults.length ? `: ${node.faults.join(", ")}` : ""}`;

export function drawCluster(svg, drawing, frame) {
  clear(drawing);
  const leaders = frame.nodes.filter((node) => node.role !== "follower");
  const followers = frame.nodes.filter((node) => node.role === "follower");
  const width = svg.clientWidth < 600 ? 450 : 900;
  svg.setAttribute("viewBox", `0 0 ${width} 300`);
  const half = Math.min(82, (0.47 * width) / Math.max(followers.length, leaders.length));
  const isNarrow = half < 80;
  const place = (index, count) => (width / count) * (index + 0.5);
  const leaderX = place(leaders.findIndex((node) => node.role === "leader"), leaders.length);
  followers.forEach((node, index) => {
    const x = place(index, followers.length);
    const up = node.seen && node.seen.state !== "unreachable";
    draw(drawing, "path", { "data-address": node.address, d: `M ${leaderX} 100 C ${leaderX} 150 ${x} 124 ${x} 178`, class: up ? "link" : "link down" });
  });
  const wordsOf = (node) => {
    if (!node.seen) return node.role === "leader" && frame.write_quorum !== null ? `W = ${frame.write_quorum}` : "";
    if (node.seen.state === "unreachable") return isNarrow ? "unreachable" : "the leader does not reach it";
    return node.seen.lag_entries ? `${node.seen.lag_entries} behind` : "has everything";
  };
  const positionOf = ({ status }) => {
    if (!status) return "";
    return isNarrow ? `index ${status.last_index}` : `index ${status.last_index}, epoch ${status.epoch}`;
  };
  const drawNode = (node, x, y) => {
    const kind = !node.status || node.faults.includes("frozen") ? "down" : node.role === "leader" ? "leads" : "";
    draw(drawing, "rect", { x: x - half, y, width: 2 * half, height: 92, rx: 8, class: `box ${kind}` });
    const write = (dy, text, attributes) => draw(drawing, "text", { x, y: y + dy, "text-anchor": "middle", ...attributes }, text);
    write(22, node.name, { "font-weight": "bold" });
    write(42, node.faults.length ? node.faults.join(", ") : node.status ? node.status.state : "no answer");
    write(62, positionOf(node), { class: "soft" });
    write(80, wordsOf(node), { class: "soft" });
  };
  leaders.forEach((node, index) => drawNode(node, place(index, leaders.length), 8));
  followers.forEach((node, index) => drawNode(node, place(index, followers.length), 180));
}

export function showTape(table, frame) {
  const leader = frame.nodes.find((node) => node.role === "leader");
  const confirmed = leader?.status ? leader.status.commit_index : Math.max(...frame.nodes.map((node) => node.status?.commit_index ?? 0));
  const { first, last, keys } = frame.tape;
  const rows = [document.createElement("tr")];
  rows[0].append(cell("th", "log of"));
  for (let index = first; index <= last; index++) rows[0].append(cell("th", index));
  for (const node of frame.nodes) {
    const row = document.createElement("tr");
    const name = cell("th", node.name);
    name.scope = "row";
    row.append(name);
    for (let index = first; index <= last; index++) {
      // Of a node that does not answer, the leader knows what it has acknowledged.
      const upTo = node.status?.last_index ?? node.seen?.match_index;
      const kind = upTo === undefined ? "unknown" : upTo < index ? "missing" : index <= confirmed ? "confirmed" : "held";
      const square = cell("td", { unknown: "?", missing: "□", confirmed: "■", held: "▣" }[kind]);
      square.className = kind;
      square.title = `entry ${index}${keys[index] ? `, key ${keys[index]}` : ""}: ${kind}`;
      row.append(square);
    }
    rows.push(row);
  }
  table.tBodies[0].replaceChildren(...rows);
}

function cell(kind, text) {
  const found = document.createElement(kind);
  found.textContent = text;
  return found;
}

// The rows stay as they are while the same nodes are there, so that a button keeps the focus.
export function showNodes(table, frame, act) {
  const body = table.tBodies[0];
  const names = frame.nodes.map((node) => `${node.name} ${node.role}`).join();
  if (body.dataset.names !== names) {
    body.dataset.names = names;
    body.replaceChildren(...frame.nodes.map((node) => rowOf(node, frame.owns_processes, act)));
  }
  frame.nodes.forEach((node, number) => {
    const [, state, log, behind, stale, delay] = body.rows[number].cells;
    state.textContent = [...node.faults, node.status ? stateOf(node) : "no answer"].join("; ");
    log.textContent = node.status ? `${node.status.last_index}, confirmed to ${node.status.commit_index}` : "?";
    behind.textContent = node.seen ? `${node.seen.lag_entries} (${node.seen.lag_s.toFixed(2)} s)` : "";
    stale.textContent = node.stale_share === null ? "" : `${(100 * node.stale_share).toFixed(1)} %`;
    delay.textContent = node.seen ? `${node.seen.delay.min_ms} to ${node.seen.delay.max_ms} ms` : "";
    for (const button of body.rows[number].querySelectorAll("button")) {
      const { deed } = button.dataset;
      const needed = FAULT_OF[deed];
      const opposite = Object.entries({ freeze: "frozen", kill: "stopped", cut: "cut off" }).find(([each]) => each === deed);
      button.disabled = needed ? !node.faults.includes(needed) : opposite ? node.faults.includes(opposite[1]) : false;
    }
  });
}

function rowOf(node, mayAct, act) {
  const row = document.createElement("tr");
  const name = cell("th", node.name);
  name.scope = "row";
  row.append(name, ...["", "", "", "", "", ""].map((text) => cell("td", text)));
  for (const deed of mayAct ? DEEDS[node.role].flat() : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = deed;
    button.dataset.deed = deed;
    button.setAttribute("aria-label", `${deed} ${node.name}`);
    button.addEventListener("click", () => act(node.name, deed));
    row.lastChild.append(button);
  }
  return row;
}
