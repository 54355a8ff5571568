// One stream of frames comes in; everything shown is drawn from the newest one.

import { describeOutcomes, drawCurves } from "./charts.js";
import { drawCluster, showNodes, showTape } from "./cluster.js";
import { Journey } from "./journey.js";

const byId = (id) => document.getElementById(id);
const journey = new Journey({ lanes: byId("journey"), packets: byId("packets"), links: byId("drawing"), list: byId("journey-steps") });
let frame = null;

async function post(path, body = {}) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  const document = isJson ? await answer.json() : { error: await answer.text() };
  if (document.command) byId("command").textContent = document.command;
  if (!answer.ok) throw new Error(document.error ?? `HTTP ${answer.status}`);
  return document;
}

async function control(path, body, describe = () => "Done.") {
  byId("answer").textContent = "…";
  try {
    byId("answer").textContent = describe(await post(path, body));
  } catch (error) {
    byId("answer").textContent = `Not done: ${error.message}`;
  }
}

function fields(form) {
  const found = Object.fromEntries(new FormData(form));
  for (const input of form.querySelectorAll("input[type=number]")) found[input.name] = input.valueAsNumber;
  return found;
}

function onSubmit(id, act) {
  byId(id).addEventListener("submit", (event) => {
    event.preventDefault();
    act(fields(event.target));
  });
}

onSubmit("quorum-form", (given) => control("/quorum", given));
onSubmit("delay-form", (given) => control("/delay", given));
onSubmit("clients-form", (given) => control("/clients", given));
onSubmit("request-form", ({ node, ...given }) => {
  try {
    given.value = JSON.parse(given.value);
  } catch {
    // a text
  }
  control(`/nodes/${node}/request`, given, (done) => `${done.status} after ${done.took_ms} ms: ${done.body}`);
});

byId("calm").addEventListener("click", () => control("/calm", {}, () => "Everything is as it was."));

const newestConfirmed = () => frame?.nodes.find((node) => node.role === "leader")?.status?.commit_index;
const loadNewest = async () => journey.index !== newestConfirmed() && journey.load(newestConfirmed(), frame);

byId("journey-play").addEventListener("click", async () => {
  keepPlaying.checked = false;
  if (await journey.load(newestConfirmed(), frame)) journey.play();
});
byId("journey-step").addEventListener("click", async () => {
  keepPlaying.checked = false;
  if (journey.isAtEnd) await journey.load(newestConfirmed(), frame);
  journey.step();
});

const keepPlaying = byId("journey-keep");
keepPlaying.checked = !matchMedia("(prefers-reduced-motion: reduce)").matches;
keepPlaying.addEventListener("change", () => journey.pause());
async function playOn() {
  for (;;) {
    if (keepPlaying.checked && !document.hidden && (await loadNewest())) await journey.play();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
playOn();

for (const article of document.querySelectorAll("article")) {
  article.querySelector("form")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const prediction = Number(new FormData(event.target).get("prediction"));
    const outcome = article.querySelector(".outcome");
    const buttons = document.querySelectorAll("article button");
    buttons.forEach((button) => (button.disabled = true));
    try {
      const done = await post(`/experiments/${article.dataset.name}`, { prediction });
      showResult(outcome, done);
    } catch (error) {
      outcome.textContent = `It did not come to its end: ${error.message}`;
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
}

function showResult(outcome, done) {
  const verdict = document.createElement("strong");
  verdict.textContent = done.right === done.prediction ? "As you expected." : "Not as you expected.";
  const text = document.createElement("p");
  text.textContent = done.answer;
  const table = document.createElement("table");
  for (const [name, value] of done.rows) {
    const row = table.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().textContent = value;
  }
  const link = document.createElement("a");
  link.href = `/runs/${done.number}`;
  link.download = `kvstore-run-${done.number}.html`;
  link.textContent = "Save this run as a page";
  outcome.replaceChildren(verdict, text, table, link);
}

function showNews(news) {
  if (!news.running) return;
  const outcome = document.querySelector(`#experiment-${news.experiment} .outcome`);
  const text = document.createElement("p");
  text.className = "news";
  text.textContent = news.said.at(-1);
  outcome.replaceChildren(text);
}

function summarise() {
  const leader = frame.nodes.find((node) => node.role === "leader");
  const followers = frame.nodes.filter((node) => node.role === "follower");
  const reached = followers.filter((node) => node.seen && node.seen.state !== "unreachable").length;
  return leader?.status
    ? `${leader.name} is ${leader.status.state} in epoch ${leader.status.epoch}; W=${frame.write_quorum}; ${reached} of ${followers.length} followers reached.`
    : `${leader?.name ?? "The leader"} does not answer: there are no writes now.`;
}

function show() {
  const summary = summarise();
  if (byId("summary").textContent !== summary) byId("summary").textContent = summary;
  drawCluster(byId("cluster"), byId("drawing"), frame);
  journey.drawPackets();
  showTape(byId("tape"), frame);
  showNodes(byId("nodes"), frame, (name, deed) => control(`/nodes/${name}/${deed}`, {}, () => `${deed} ${name}: done.`));
  drawCurves(byId("rate"), frame, "confirmed writes per second", "", ["confirmed"]);
  drawCurves(byId("latency"), frame, "latency: median, and 95th percentile (dashed)", " ms", ["p50", "p95"]);
  byId("outcomes").textContent = describeOutcomes(frame);
  showNews(frame.news);
}

const frames = new EventSource("/frames");
frames.addEventListener("message", (event) => {
  frame = JSON.parse(event.data);
  show();
});
frames.addEventListener("error", () => {
  byId("summary").textContent = "The page's server does not answer; trying again.";
});
