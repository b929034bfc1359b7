// A client and a receiver as Springbolt's documentation has them, with node's own fetch and http
// alone. Every request has its own callback URL, waits there for its result, and shows the last
// payload. Ends with 0 where every promise was kept, and prints what it saw.
//
//   BASE_URL=https://… API_KEY=… WEBHOOK_SECRET=… LISTEN_PORT=8099 node springbolt.mjs
//
// RECEIVER_URL   the receiver's URL for the API; http://127.0.0.1:LISTEN_PORT unless set
//                (LISTEN_PORT=0: any free port)
// VENDOR=1       phones, hashes by profile, companies by address and leads have a provider that
//                knows all but `unknown`, breaks on `broken` and takes N seconds for `slowN`
// UNCONFIGURED   an operation without a provider, whose requests must fail

import { createHmac } from "node:crypto";
import { createServer } from "node:http";

const { BASE_URL, API_KEY, WEBHOOK_SECRET, VENDOR, UNCONFIGURED } = process.env;
for (const [name, value] of Object.entries({ BASE_URL, API_KEY, WEBHOOK_SECRET })) {
  if (!value) throw new Error(`${name} is not set`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const sorted = (value) =>
  value && typeof value === "object" && !Array.isArray(value)
    ? Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]))
    : value;
const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function check(holds, what, seen) {
  if (!holds) throw new Error(`not so: ${what}; seen: ${JSON.stringify(seen)?.slice(0, 2000)}`);
}

// ---- The receiver: one row for each callback URL, which shows the last payload.

const rows = new Map();

function signed(headers, body) {
  const key = Buffer.from(WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
  const covered = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  const expected = `v1,${createHmac("sha256", key).update(covered).digest("base64")}`;
  return (headers["webhook-signature"] ?? "").split(" ").includes(expected);
}

const receiver = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const row = rows.get(request.url);
    if (!row || request.method !== "POST") {
      response.writeHead(404).end();
      return;
    }
    const text = Buffer.concat(parts).toString("utf8");
    const status = row.answers.shift() ?? 200;
    row.came.push({ at: Date.now(), text, status, headers: request.headers,
      good: signed(request.headers, text) });
    if (status === 200) {
      row.state = "done";
      row.data = JSON.parse(text);
    }
    response.writeHead(status).end();
  });
});
await new Promise((ready) =>
  receiver.listen(Number(process.env.LISTEN_PORT ?? 0), "127.0.0.1", ready));
const address = process.env.RECEIVER_URL ?? `http://127.0.0.1:${receiver.address().port}`;

/// A row that waits for its callback; the first callbacks are answered with these statuses.
function newRow(...answers) {
  const path = `/resolution/${rows.size + 1}`;
  const row =
    { url: `${address}${path}`, state: "awaiting callback", data: null, came: [], answers };
  rows.set(path, row);
  return row;
}

async function filled(row, seconds = 600) {
  const until = Date.now() + seconds * 1000;
  while (row.state !== "done") {
    check(Date.now() < until, `a callback within ${seconds} s`, row);
    await pause(50);
  }
  const { headers, good } = row.came.at(-1);
  check(headers["content-type"] === "application/json", "a callback is JSON", headers);
  check(good, "a callback is signed as Standard Webhooks says", headers);
  check(!("callbackUrl" in row.data || "callback_url" in row.data),
    "the callback URL is not sent back", row.data);
  return row.data;
}

// ---- The client.

async function call(path, sent, headers = { "x-api-key": API_KEY }) {
  const response = await fetch(`${BASE_URL}${path}`, {
    method: "POST", headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(sent),
  });
  return { http: response.status, ...(await response.json()) };
}

/// Sends a request that must be accepted, and returns its row.
async function ask(path, input, { row = newRow(), name = "callbackUrl", headers } = {}) {
  const answer = await call(path, { ...input, [name]: row.url }, headers);
  check(answer.http === 200 && answer.status === "processing", "a request is being processed",
    answer);
  check(typeof answer.message === "string" && answer.message.length > 0, "the answer has a message",
    answer);
  check(answer.success === true, "the answer is a success", answer);
  const { id, status, requested_at: at, callback_url: url } = answer.resolution ?? {};
  check(/^res_[0-9a-f]{32}$/.test(id), "the resolution has an id", answer);
  check(status === "processing" && url === row.url, "the resolution says where its result goes",
    answer);
  check(Math.abs(Date.parse(at) - Date.now()) < 60000, "the resolution says when it was asked for",
    answer);
  row.id = id;
  return row;
}

async function results() {
  const row = await ask("/enrichment", { companyName: "Spotify", rowNumber: 7, tags: ["a", null] });
  const data = await filled(row);
  check(data.companyName === "Spotify" && data.rowNumber === 7 && same(data.tags, ["a", null]),
    "what was sent comes back", data);
  check(data.domain === "spotify.com" && typeof data.brandColor === "string",
    "what was found stands beside it", data);
  check(Object.keys(data).every((name) => !name.includes("_")), "found fields are in camel case",
    data);
  check(row.came.length === 1, "one callback", row.came);

  const snake =
    await filled(await ask("/enrichment", { company_name: "Spotify" }, { name: "callback_url" }));
  check(snake.company_name === "Spotify" && typeof snake.brand_color === "string",
    "or in snake case", snake);
  console.log("results:", JSON.stringify(data), JSON.stringify(snake));
}

async function operations() {
  const email = { email: "User@Example.com" };
  const bearer = { Authorization: `Bearer ${API_KEY}` };
  const [plain, hyphens, placed, both] = await Promise.all([
    ask("/email_to_hem", email),
    ask("/email-to-hem", email, { headers: bearer }),
    ask("/lead/resolution/email_to_hem", email),
    ask("/lead/resolution/email-to-hem", email, { headers: bearer }),
  ].map(async (row) => filled(await row)));
  check(plain.email === email.email && plain.hashes, "hashes of an address", plain);
  check([hyphens, placed, both].every((other) => same(other, plain)),
    "every spelling answers alike", [hyphens, placed, both]);
  const finder = await filled(await ask("/organization_domain_finder", { name: "Spotify" }));
  check(same([finder.name, finder.domain], ["Spotify", "spotify.com"]),
    "the domain of an organisation", finder);
  console.log("operations: email_to_hem in four places, organization_domain_finder");
  if (!VENDOR) return;
  const profile = { linkedinUrl: "https://www.linkedin.com/in/john-doe" };
  const [phone, hem, company, lead] = await Promise.all([
    ask("/linkedin-to-phone", profile),
    ask("/linkedin_to_hem", profile),
    ask("/lead/resolution/ip-to-company", { ipAddress: "192.0.2.7" }),
    ask("/keyword_to_lead", { keyword: "robots" }),
  ].map(async (row) => filled(await row)));
  check(phone.linkedinUrl === profile.linkedinUrl && phone.phones?.length > 0,
    "phones of a profile", phone);
  check(hem.linkedinUrl === profile.linkedinUrl && hem.hashes, "hashes of a profile", hem);
  const expected = { ipAddress: "192.0.2.7", companyName: "Example Inc", domain: "example.com",
    networkType: "business" };
  check(same(company, expected), "the company behind an address", company);
  check(lead.keyword === "robots" && lead.leads?.length > 0, "leads of a keyword", lead);
  console.log("operations: linkedin_to_phone, linkedin_to_hem, ip_to_company, keyword_to_lead");
}

async function withoutResult() {
  const none =
    await filled(await ask("/enrichment", { companyName: "Nobody Knows It Ltd", status: "my own" }));
  check(none.companyName === "Nobody Knows It Ltd" && none.status === "not_found",
    "nothing found is said", none);
  check(typeof none.message === "string", "and in words", none);
  const shown = [none];
  for (const [path, input] of [
    ...(VENDOR ? [["/linkedin_to_phone",
      { linkedin_url: "https://www.linkedin.com/in/broken" }]] : []),
    ...(UNCONFIGURED ? [[`/${UNCONFIGURED}`, { ip: "192.0.2.7" }]] : []),
    ["/email_to_hem", { emial: "user@example.com" }],
  ]) {
    const failed = await filled(await ask(path, input));
    check(failed.status === "failed" && typeof failed.message === "string" && failed.message,
      "a failure says why", failed);
    check(Object.entries(input).every(([name, value]) => failed[name] === value),
      "beside what was sent", failed);
    shown.push(failed);
  }
  console.log("without result:",
    shown.map((data) => `${data.status}: ${data.message}`).join(" | "));
}

async function secondTry() {
  const row = await ask("/enrichment", { companyName: "Spotify" }, { row: newRow(500) });
  await filled(row);
  const [first, second] = row.came;
  check(row.came.length === 2 && first.text === second.text,
    "a callback that failed is sent again as it was", row.came);
  check(first.headers["webhook-id"] === second.headers["webhook-id"], "under the same id",
    row.came);
  check(second.at - first.at >= 4990, "five seconds later at the earliest", second.at - first.at);
  console.log(`second try: after ${second.at - first.at} ms`);
}

async function sameUrl() {
  const row = newRow();
  const slow = ["/linkedin_to_phone", { linkedinUrl: "https://www.linkedin.com/in/slow2" }];
  await ask(...(VENDOR ? slow : ["/enrichment", { companyName: "Stripe" }]), { row });
  await pause(50);
  await ask("/organization-domain-finder", { companyName: "Spotify" }, { row });
  const ofTheNewer = (text) => JSON.parse(text).companyName === "Spotify";
  const until = Date.now() + 600000;
  while (!row.came.some(({ text }) => ofTheNewer(text))) {
    check(Date.now() < until, "a callback of the newer request", row);
    await pause(50);
  }
  // The older one ends in this time, and would call back.
  await pause(8000);
  check(same([row.data.companyName, row.data.domain], ["Spotify", "spotify.com"]),
    "the newer request's result stays", row.data);
  check(ofTheNewer(row.came.at(-1).text), "the older one's is not sent after it", row.came);
  const order = row.came.map(({ text }) => (ofTheNewer(text) ? "the newer" : "the older"));
  console.log(`same URL: callbacks of ${order}`);
}

async function refusals() {
  const shape = (answer, http) => {
    check(answer.http === http && answer.success === false && answer.status === "error",
      `refused with ${http}`, answer);
    check(typeof answer.message === "string" && answer.message, "and says why", answer);
  };
  shape(await call("/enrichment", { companyName: "Spotify" }), 400);
  shape(await call("/enrichment", { callbackUrl: `${address}/a`, callback_url: `${address}/b` }),
    400);
  shape(await call("/enrichment", { callbackUrl: "not a URL" }), 400);
  shape(await call("/enrichment", { callbackUrl: `${address}/a` }, { "x-api-key": "no such key" }),
    401);
  shape(await call("/enrichment", { callbackUrl: `${address}/a` }, {}), 401);
  console.log("refused: no URL, two URLs, no such URL, no such key, no key");
}

await refusals();
await Promise.all([results(), operations(), withoutResult(), secondTry(), sameUrl()]);
console.log("every promise was kept");
receiver.close();
receiver.closeAllConnections();
