// A client of Sixtyfour's asynchronous API and a receiver of its webhooks, as their documents
// describe both. Only BASE_URL, API_KEY and WEBHOOK_SECRET tie it to Millrace. Ends with 0 only
// if every promise was kept; the last line is a JSON summary.
//
//     BASE_URL=… API_KEY=… WEBHOOK_SECRET=… node tests/e2e/clients/sixtyfour.mjs

import assert from "node:assert/strict";
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const { BASE_URL, API_KEY, WEBHOOK_SECRET, LISTEN_PORT = "0" } = process.env;
for (const name of ["BASE_URL", "API_KEY", "WEBHOOK_SECRET"])
  assert(process.env[name], `${name} is not set`);

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TOLERANCE_S = 300;
const RETRIES_MS = [1000, 2000, 4000, 8000, 16000];
// Longer than anything that does happen.
const PATIENCE_S = 600;

// The receiver.

function verified(raw, header) {
  const parts = (header ?? "").split(",").map((part) => part.split("="));
  const t = Number(parts.find(([name]) => name === "t")?.[1]);
  if (!Number.isInteger(t) || Math.abs(Date.now() / 1000 - t) > TOLERANCE_S) return false;
  const expected = createHmac("sha256", WEBHOOK_SECRET).update(`${t}.`).update(raw).digest();
  const given =
    parts.filter(([name]) => name === "v1").map(([, value]) => Buffer.from(value, "hex"));
  return given.some((mac) => mac.length === expected.length && timingSafeEqual(mac, expected));
}

const received = []; // {path, at, answeredAt (when it began to be answered), headers, raw, payload}
let flakyLeft = RETRIES_MS.length;

const server = createServer(async (request, response) => {
  const at = Date.now();
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks);
  const event = { path: request.url, at, method: request.method, headers: request.headers, raw };
  received.push(event);
  const genuine = verified(raw, request.headers["sixtyfour-signature"]);
  event.payload = genuine ? JSON.parse(raw) : undefined;
  response.statusCode = !genuine ? 401 : request.url === "/flaky" && flakyLeft-- > 0 ? 500 : 200;
  event.answeredAt = Date.now();
  response.end();
});
server.listen(Number(LISTEN_PORT), "127.0.0.1");
await once(server, "listening");
const hook = (path) => `http://127.0.0.1:${server.address().port}${path}`;

async function notified(taskId, count = 1, seconds = PATIENCE_S) {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    const events = received.filter((event) => event.payload?.task_id === taskId);
    if (events.length >= count) return events;
    await sleep(50);
  }
  const unsigned = received.filter((event) => !event.payload).length;
  assert.fail(`no ${count} webhooks for ${taskId} after ${seconds} s; `
    + `${unsigned} were not signed well`);
}

// The client.

async function call(method, path, body, headers = { "x-api-key": API_KEY }) {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const answer = await fetch(`${BASE_URL}${path}`, {
    method,
    headers: { "Content-Type": "application/json", ...headers },
    body: sent,
  });
  return { status: answer.status, json: await answer.json() };
}

async function start(path, body) {
  const { status, json } = await call("POST", path, body);
  assert.equal(status, 200, `${path}: ${JSON.stringify(json)}`);
  assert.match(json.task_id, UUID);
  assert.equal(json.status, "pending");
  return json.task_id;
}

async function finished(taskId, seconds = PATIENCE_S) {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    const { status, json } = await call("GET", `/job-status/${taskId}`);
    assert.equal(status, 200);
    assert.equal(json.task_id, taskId);
    assert(["pending", "processing", "completed", "failed"].includes(json.status), json.status);
    if (json.status === "completed" || json.status === "failed") return json;
    assert(!("result" in json) && !("error" in json));
    await sleep(250);
  }
  assert.fail(`task ${taskId} not over after ${seconds} s`);
}

// The promises of the documents.

const lead = { name: "John Doe", company: "Acme Inc",
  linkedin_url: "https://linkedin.example/in/johndoe", crm: { id: 7 } };
const email = (result) => {
  for (const [address, status, kind, ...rest] of result.email) {
    assert.match(address, /@/);
    assert(["OK", "CATCH_ALL", "RISKY", "INVALID", "UNKNOWN"].includes(status), status);
    assert(["COMPANY", "PERSONAL"].includes(kind), kind);
    assert.equal(rest.length, 0);
  }
};
const intelligence = (result) => {
  assert.equal(typeof result.structured_data, "object");
  assert.equal(typeof result.notes, "string");
  assert.equal(typeof result.references, "object");
  assert.equal(typeof result.confidence_score, "number");
};

const tasks = [
  ["/find-email-async", "find_email", { lead, mode: "PROFESSIONAL", providers: ["one-of-theirs"] },
    (result) => {
    email(result);
    assert.equal(result.email.length, 1);
    assert.equal(result.email[0][1], "OK");
    for (const name in lead) assert.deepEqual(result[name], lead[name]);
  }],
  ["/find-email-bulk-async", "find_email_bulk", {
    leads: ["Ada", "unknown", "Grace", "broken"]
      .map((name, row) => ({ row, name, company: "Acme Inc" })),
  }, ({ results }) => {
    assert.deepEqual(results.map((r) => [r.row, r.name]),
      [[0, "Ada"], [1, "unknown"], [2, "Grace"], [3, "broken"]]);
    assert.deepEqual(results.map((r) => r.email.length), [1, 0, 1, 0]);
    assert.deepEqual(results.map((r) => typeof r.error),
      ["undefined", "undefined", "undefined", "string"]);
    results.forEach(email);
  }],
  ["/find-phone-async", "find_phone", { lead }, (result) => {
    assert.equal(typeof result.phone, "string");
    assert.match(result.phone, /^\+/);
    assert.equal(result.name, lead.name);
  }],
  ["/find-phone-bulk-async", "find_phone_bulk", {
    leads: Array.from({ length: 100 },
      (_, row) => ({ row, name: `Lead ${row}`, company: "Acme Inc" })),
  }, ({ results }) => {
    assert.deepEqual(results.map((r) => r.row), Array.from({ length: 100 }, (_, row) => row));
    assert(results.every((r) => /^\+/.test(r.phone)));
  }],
  ["/people-intelligence-async", "enrich_lead",
    { lead_info: lead, struct: { age: "their age" }, tier: "low" }, (result) => {
    intelligence(result);
    assert("age" in result.structured_data);
  }],
  ["/company-intelligence-async", "enrich_company", {
    target_company: { company_name: "Acme Inc", website: "https://acme.example" },
    struct: { employees: "how many" },
  }, intelligence],
  ["/research-agent-async", "research_agent",
    { input_data: { company: "Acme Inc" }, research_plan: "look" }, intelligence],
  ["/qa-agent-async", "qa_agent", {
    data: lead,
    qualification_criteria: [{ criteria_name: "size", description: "over ten people", weight: 2.5,
      threshold: 0.5 }],
    struct: { verdict: "yes or no" },
  }, intelligence],
  ["/find-email-async", "find_email", { lead: { name: "unknown person" } },
    (result) => assert.deepEqual(result.email, [])],
];

async function run([path, type, request, check]) {
  const taskId = await start(path, { ...request, webhook_url: hook("/hook") });
  const polled = await finished(taskId);
  assert.equal(polled.status, "completed", JSON.stringify(polled));
  assert.equal(polled.task_type, type);
  check(polled.result);
  const [event] = await notified(taskId);
  assert.equal(event.method, "POST");
  assert.equal(event.headers["content-type"], "application/json");
  assert.equal(event.headers["sixtyfour-event-type"], type);
  assert.match(event.headers["sixtyfour-event-id"], UUID);
  assert.deepEqual(event.payload, polled, "notified and polled alike");
  const changed = Buffer.concat([event.raw, Buffer.from(" ")]);
  assert(!verified(changed, event.headers["sixtyfour-signature"]),
    "a changed body does not verify");
  console.log(`${type}: completed, notified and polled alike`);
}

async function failing() {
  const taskId =
    await start("/find-phone-async", { lead: { name: "broken" }, webhook_url: hook("/hook") });
  const polled = await finished(taskId);
  assert.deepEqual(Object.keys(polled), ["task_id", "status", "task_type", "error"]);
  assert.equal(polled.status, "failed");
  const [event] = await notified(taskId);
  assert.deepEqual(event.payload, polled);
  console.log(`find_phone: failed with ${JSON.stringify(polled.error)}`);
}

// Five failures, then success: the schedule, as the receiver sees it.
async function retried() {
  const taskId = await start("/find-email-async", { lead, webhook_url: hook("/flaky") });
  await finished(taskId);
  const events = await notified(taskId, 1 + RETRIES_MS.length);
  const gaps = events.slice(1).map((event, n) => event.at - events[n].answeredAt);
  console.log(`retries came ${gaps.join(", ")} ms after the failures`);
  gaps.forEach((gap, n) => {
    // A failure is over for the sender only after the receiver has begun to answer. The delay of
    // the next attempt depends on the machine's load.
    assert(gap >= RETRIES_MS[n] - 5, `${gap} ms instead of ${RETRIES_MS[n]}`);
  });
  assert.deepEqual(events.map((e) => e.headers["sixtyfour-delivery-attempt"]),
    ["1", "2", "3", "4", "5", "6"]);
  assert.equal(new Set(events.map((e) => e.headers["sixtyfour-event-id"])).size, 1);
  assert.equal(new Set(events.map((e) => e.raw.toString())).size, 1,
    "every attempt has the same body");
  await sleep(1500);
  assert.equal((await notified(taskId)).length, 6, "none after a success");
  return { taskId, gaps };
}

async function refused() {
  const invalid = async (path, body, ...place) => {
    const { status, json } = await call("POST", path, body);
    assert.equal(status, 422, `${path}: ${JSON.stringify(json)}`);
    const faults = json.detail.map(({ loc, msg, type }) => {
      assert.equal(typeof msg, "string");
      assert.equal(typeof type, "string");
      return loc;
    });
    assert.deepEqual(faults, [place]);
  };
  await invalid("/find-email-async", {}, "body", "lead");
  await invalid("/find-email-async", { lead: "John" }, "body", "lead");
  await invalid("/find-email-async", { lead, mode: "BOTH" }, "body", "mode");
  await invalid("/find-phone-bulk-async", { leads: Array(101).fill(lead) }, "body", "leads");
  await invalid("/company-intelligence-async", { target_company: {} }, "body", "struct");
  await invalid("/find-phone-async", { lead, webhook_url: "ftp://x.example" }, "body",
    "webhook_url");
  const detail = async (expected, ...request) => {
    const { status, json } = await call(...request);
    assert.equal(status, expected, JSON.stringify(json));
    assert.equal(typeof json.detail, "string");
  };
  await detail(401, "POST", "/find-email-async", { lead }, {});
  await detail(401, "POST", "/find-email-async", { lead }, { "x-api-key": "wrong" });
  await detail(404, "GET", "/job-status/550e8400-e29b-41d4-a716-446655440000");
  console.log("422, 401 and 404 in their form");
}

const [retries] = await Promise.all([retried(), failing(), refused(), ...tasks.map(run)]);
const unsigned = received.filter((event) => !event.payload);
assert.equal(unsigned.length, 0, "every webhook was signed");
console.log(JSON.stringify({ webhooks: received.length, flaky: retries.taskId,
  gaps: retries.gaps }));
server.close();
server.closeAllConnections();
