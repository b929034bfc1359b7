// A client and a receiver as ApiOne's documentation has them, with node's own fetch and http
// alone. Ends with 0 where every promise was kept, and prints what it saw.
//
//   BASE_URL=https://… API_KEY=… WEBHOOK_SECRET=… LISTEN_PORT=8099 node apione.mjs
//
// RECEIVER_URL   the receiver's URL for the API; http://127.0.0.1:LISTEN_PORT unless set
//                (LISTEN_PORT=0: any free port)
// RECORDS        records of the large job, 1000 unless set
// POLL_MS        time between two polls, 5000 unless set
// MAX_WAIT_MS    time for which a job is polled, 300000 unless set
// PEOPLE=1       the type `people` has a provider that knows all but `unknown` and breaks on
//                `broken`
// UNCONFIGURED   a type without a provider, whose job must fail

import { createHmac } from "node:crypto";
import { createServer } from "node:http";

const { BASE_URL, API_KEY, WEBHOOK_SECRET, PEOPLE, UNCONFIGURED } = process.env;
const POLL_MS = Number(process.env.POLL_MS ?? 5000);
const MAX_WAIT_MS = Number(process.env.MAX_WAIT_MS ?? 300000);
const RECORDS = Number(process.env.RECORDS ?? 1000);
for (const [name, value] of Object.entries({ BASE_URL, API_KEY, WEBHOOK_SECRET })) {
  if (!value) throw new Error(`${name} is not set`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function check(holds, what, seen) {
  if (!holds) throw new Error(`not so: ${what}; seen: ${JSON.stringify(seen)?.slice(0, 2000)}`);
}

// ---- The receiver: parses, signs what it parsed, answers at once, and works on it afterwards,
// once for each job.

const events = new Map();
const refused = [];
let repeats = 0;

const receiver = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    let body;
    try {
      body = JSON.parse(Buffer.concat(parts).toString("utf8"));
    } catch {
      response.writeHead(400).end();
      return;
    }
    const expected =
      createHmac("sha256", WEBHOOK_SECRET).update(JSON.stringify(body)).digest("hex");
    if (request.headers["x-apione-signature"] !== `sha256=${expected}`) {
      refused.push({ headers: request.headers, body });
      response.writeHead(401).end("Invalid signature");
      return;
    }
    response.writeHead(200).end("OK");
    if (events.has(body.job_id)) {
      repeats += 1;
      return;
    }
    events.set(body.job_id,
      { body, type: request.headers["content-type"], method: request.method });
  });
});
await new Promise((ready) =>
  receiver.listen(Number(process.env.LISTEN_PORT ?? 0), "127.0.0.1", ready));
const address = `http://127.0.0.1:${receiver.address().port}`;
const webhookUrl = `${process.env.RECEIVER_URL ?? address}/webhooks/apione`;

async function eventOf(jobId) {
  const until = Date.now() + 600000;
  while (!events.has(jobId)) {
    check(refused.length === 0, "every delivery verifies", refused[0]);
    check(Date.now() < until, `a webhook for ${jobId} within 600 s of its end`, [...events.keys()]);
    await pause(100);
  }
  const { body, type, method } = events.get(jobId);
  check(method === "POST" && type === "application/json", "a POST of JSON", { method, type });
  return body;
}

// ---- The client.

async function call(path, body, key = API_KEY) {
  const response = await fetch(`${BASE_URL}/api/v1/async/${path}`, {
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    headers: { "X-API-Key": key,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
  });
  return { http: response.status, ...(await response.json()) };
}

async function submit(type, records, extra = {}) {
  const answer = await call("enrich", { type, records, ...extra });
  check(answer.http === 200 && answer.status === "success", "a submission is answered with success",
    answer);
  check(/^job_/.test(answer.job_id), "the answer has a job_id", answer);
  check(answer.total_records === records.length, "the answer has total_records", answer);
  check(Number.isInteger(answer.estimated_completion_seconds),
    "the answer has estimated_completion_seconds", answer);
  check(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(answer.estimated_completion),
    "estimated_completion is a time", answer);
  return answer.job_id;
}

async function poll(jobId) {
  const seen = new Set();
  let progress = 0;
  for (const start = Date.now(); Date.now() - start < MAX_WAIT_MS; await pause(POLL_MS)) {
    const now = await call(`status/${jobId}`);
    check(now.http === 200, "a poll is never refused", now);
    check(["queued", "processing", "completed", "failed"].includes(now.status),
      "a status of the document", now);
    check(now.progress >= progress && now.progress <= 100, "progress goes from 0 to 100", now);
    progress = now.progress;
    seen.add(now.status);
    if (now.status === "completed" || now.status === "failed") return { ...now, seen: [...seen] };
  }
  throw new Error(`job ${jobId} timed out`);
}

function checkResults(results, records) {
  check(Array.isArray(results) && results.length === records.length, "one result for each record",
    results?.length);
  results.forEach((result, at) => {
    check(same(result.input, records[at]), "input is what was sent, in the order sent",
      { result, sent: records[at] });
    check(["success", "not_found", "failed"].includes(result.status),
      "a record's status of the document", result);
    check((result.data !== null) === (result.status === "success"),
      "data where there is success, else null", result);
  });
}

function checkEvent(event, polled) {
  const names = ["event", "job_id", "completed_at", "total_records", "successful", "not_found",
    "failed", "credits_used"];
  check(names.every((name) => name in event), "the event has every field of the document", event);
  const shared = names.slice(1).concat("results");
  check(shared.every((name) => same(event[name], polled[name])), "event and status say the same",
    [event, polled]);
  const of = (status) => event.results.filter((r) => r.status === status).length;
  check(event.successful === of("success") && event.not_found === of("not_found")
    && event.failed === of("failed"),
    "the counts are those of the results", event);
  check(event.total_records === event.successful + event.not_found + event.failed,
    "the counts add up", event);
  check(!Number.isNaN(Date.parse(event.completed_at)), "completed_at is a time", event);
}

async function largeJob() {
  const records = Array.from({ length: RECORDS }, (_, n) => ({ domain: `unknown-${n}.example` }));
  records[0] = { domain: "spotify.com" };
  // Values that JavaScript writes in its own way, and fields that the API does not ask for.
  records[1] = JSON.parse(`{"domain": "https://open.spotify.com/x", "b": 1, "10": 1e21, "9": [{"z": 0, "1": 9007199254740993}],
    "01": 1e-7, "4294967294": -0.0, "4294967295": 5e-324, "__proto__": {"2": 1, "1": "\\u2028\\ud83d\\ude00\\u001f/"}, "toJSON": "",
    "": 18446744073709551615, "crm": {"id": "a-17", "tags": [], "more": {}}, "none": null}`);
  const jobId = await submit("company", records, { webhook_url: webhookUrl });
  const polled = await poll(jobId);
  check(polled.status === "completed" && polled.progress === 100, "the job completes", polled);
  check(polled.results_count === RECORDS, "results_count is the number of results",
    polled.results_count);
  checkResults(polled.results, records);
  check(polled.results[0].status === "success" && polled.results[0].data.company_name === "Spotify",
    "a known company",
    polled.results[0]);
  check(polled.successful === 2 && polled.not_found === RECORDS - 2, "the others are not found",
    polled);
  checkEvent(await eventOf(jobId), polled);
  const { http, ...results } = await call(`results/${jobId}`);
  const { http: _, seen, ...status } = polled;
  check(http === 200 && same(results, status), "the results route says the same", results);
  console.log(`${jobId}: ${RECORDS} records, ${seen.join(" → ")}, webhook verified, `
    + `${polled.successful} found`);
}

async function peopleJob() {
  const records = [
    { firstName: "Ada", lastName: "Lovelace", company: "Example Inc", domain: "example.com" },
    { name: "Un Known", domain: "unknown.example" },
    { email: "broken@example.com" },
  ];
  for (const type of ["people", "email"]) {
    const jobId = await submit(type, records, { webhook_url: null });
    const polled = await poll(jobId);
    checkResults(polled.results, records);
    check(same(polled.results.map((r) => r.status), ["success", "not_found", "failed"]),
      "one of each end", polled);
    check(typeof polled.results[2].error === "string", "a failed record says why",
      polled.results[2]);
    const ends = polled.results.map((r) => r.status).join(", ");
    console.log(`${jobId}: ${type} without a webhook, ${ends}`);
  }
}

async function failedJob() {
  const records = [{ domain: "example.com" }];
  const jobId = await submit(UNCONFIGURED, records, { webhook_url: webhookUrl });
  const polled = await poll(jobId);
  check(polled.status === "failed" && typeof polled.error === "string",
    "the job fails with an error", polled);
  const event = await eventOf(jobId);
  check(event.event === "job.failed" && event.error === polled.error, "its event says so too",
    event);
  checkEvent(event, polled);
  console.log(`${jobId}: failed: ${polled.error}`);
}

async function refusals() {
  const records = [{ domain: "example.com" }];
  const shape = (answer, code) => {
    const holds = answer.http === code && answer.status === "error" && answer.code === code
      && typeof answer.message === "string" && typeof answer.request_id === "string";
    check(holds, `an error of the documented shape with ${code}`, answer);
  };
  shape(await call("enrich", { type: "company", records: Array(1001).fill(records[0]) }), 400);
  shape(await call("enrich", { type: "company", records: [] }), 400);
  shape(await call("enrich", { type: "elsewhere", records }), 400);
  shape(await call("enrich", { type: "company", records }, "no such key"), 401);
  shape(await call("status/job_abc123"), 404);
  for (const text of ['{"n": 1e400}', '{"s": "\\ud83d"}']) {
    const response = await fetch(`${BASE_URL}/api/v1/async/enrich`, {
      method: "POST", headers: { "X-API-Key": API_KEY, "Content-Type": "application/json" },
      body: `{"type": "company", "records": [${text}]}`,
    });
    shape({ http: response.status, ...(await response.json()) }, 400);
  }
  const forged = await fetch(`${address}/webhooks/apione`, {
    method: "POST",
    headers: { "Content-Type": "application/json",
      "X-ApiOne-Signature": `sha256=${"0".repeat(64)}` },
    body: '{"event": "job.completed", "job_id": "job_forged", "results": []}',
  });
  check(forged.status === 401 && refused.pop().body.job_id === "job_forged",
    "the receiver refuses a forgery", forged.status);
  console.log("refused: 1,001 and 0 records, an unknown type, key and job, 1e400, "
    + "half a surrogate pair; and a forged webhook");
}

await refusals();
await Promise.all([largeJob(), PEOPLE ? peopleJob() : null, UNCONFIGURED ? failedJob() : null]);
check(refused.length === 0, "every delivery verifies", refused[0]);
check(repeats === 0, "an event that was answered with 2xx is not sent again", repeats);
console.log("every promise was kept");
receiver.close();
receiver.closeAllConnections();
