// A client and a receiver after FullEnrich's documents, with node's own fetch and http alone.
// Ends with 0 where every promise was kept, and prints what it saw.
//
//   BASE_URL=https://… API_KEY=… WEBHOOK_SECRET=… LISTEN_PORT=8099 node fullenrich.mjs
//
// RECEIVER_URL       the receiver's URL for the API; http://127.0.0.1:LISTEN_PORT unless set
//                    (LISTEN_PORT=0: any free port)
// SLOW, UNKNOWN      last names for which the provider takes a while, and which it does not know
// POOR_API_KEY, POOR_WEBHOOK_SECRET
//                    of a second workspace with one credit left; a contact costs one

import { createHmac } from "node:crypto";
import { createServer } from "node:http";

const { BASE_URL, API_KEY, WEBHOOK_SECRET, POOR_API_KEY, POOR_WEBHOOK_SECRET } = process.env;
const SLOW = process.env.SLOW ?? "slow2";
const UNKNOWN = process.env.UNKNOWN ?? "unknown";
for (const [name, value] of Object.entries({ BASE_URL, API_KEY, WEBHOOK_SECRET })) {
  if (!value) throw new Error(`${name} is not set`);
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const seen = (what) => console.log(`seen: ${what}`);

function check(holds, what, given) {
  if (!holds) throw new Error(`not so: ${what}; seen: ${JSON.stringify(given)?.slice(0, 2000)}`);
}

// ---- The receiver: the raw body is signed; what it holds is the poll's answer.

const events = new Map();
const refused = [];

const receiver = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const raw = Buffer.concat(parts);
    const secret = request.url.startsWith("/poor") ? POOR_WEBHOOK_SECRET : WEBHOOK_SECRET;
    const expected = createHmac("sha1", secret).update(raw).digest("hex");
    if (request.method !== "POST" || request.headers["x-signature-sha1"] !== expected
        || request.headers["content-type"] !== "application/json") {
      refused.push({ url: request.url, headers: request.headers, body: raw.toString("utf8") });
      response.writeHead(401).end();
      return;
    }
    const event = { raw: raw.toString("utf8"), body: JSON.parse(raw), at: Date.now() };
    events.set(request.url, [...(events.get(request.url) ?? []), event]);
    response.writeHead(204).end();
  });
});
await new Promise((ready) =>
  receiver.listen(Number(process.env.LISTEN_PORT ?? 0), "127.0.0.1", ready));
const hooks = process.env.RECEIVER_URL ?? `http://127.0.0.1:${receiver.address().port}`;

/** Returns the events at a path, once there are `count` of them. */
async function notified(path, count = 1) {
  const until = Date.now() + 600000;
  while ((events.get(path)?.length ?? 0) < count) {
    check(refused.length === 0, "every delivery verifies", refused[0]);
    check(Date.now() < until, `${count} webhooks at ${path} within 600 s`, events.get(path));
    await pause(50);
  }
  return events.get(path);
}

// ---- The client.

async function call(path,
  { body, key = API_KEY, authorization = `Bearer ${key}`, headers = {} } = {}) {
  const response = await fetch(`${BASE_URL}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { ...(authorization && { Authorization: authorization }),
      "Content-Type": "application/json", ...headers },
    body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
  });
  const raw = await response.text();
  return { status: response.status, raw, body: JSON.parse(raw) };
}

const ENRICH = "/api/v2/contact/enrich/bulk";
const REVERSE = "/api/v2/contact/reverse/email/bulk";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function isRefused(answer, status, code) {
  check(answer.status === status && answer.body.code === code, `${status} ${code}`, answer);
  check(typeof answer.body.message === "string" && answer.body.message !== "",
    "an error has a message", answer.body);
}

async function submit(path, body, options = {}) {
  const answer = await call(path, { ...options, body });
  check(answer.status === 200 && UUID.test(answer.body.enrichment_id),
    "a submission is answered with an id", answer);
  check(Object.keys(answer.body).length === 1, "and with nothing else", answer.body);
  return answer.body.enrichment_id;
}

/** Polls until the enrichment is over. */
async function finished(path, options) {
  const until = Date.now() + 600000;
  for (;;) {
    const answer = await call(path, options);
    const running = answer.status === 400 && answer.body.code === "error.enrichment.in_progress";
    const looking = answer.status === 200
      && ["CREATED", "IN_PROGRESS"].includes(answer.body.status);
    if (!running && !looking) return answer;
    check(Date.now() < until, "it ends within 600 s", answer);
    await pause(500);
  }
}

const contact = (last_name, more = {}) =>
  ({ first_name: "John", last_name, domain: "example.com", ...more });

async function account() {
  const verified = await call("/api/v2/account/keys/verify");
  check(verified.status === 200 && UUID.test(verified.body.workspace_id), "a key has a workspace",
    verified);
  const credits = await call("/api/v2/account/credits");
  check(credits.status === 200 && typeof credits.body.balance === "number",
    "a workspace has a balance", credits);
  isRefused(await call("/api/v2/account/credits", { authorization: "" }), 401,
    "error.authorization.not_set");
  isRefused(await call("/api/v2/account/credits", { authorization: API_KEY }), 401,
    "error.authorization.not_bearer");
  isRefused(await call(ENRICH, { key: "unknown", body: {} }), 401, "error.api.key");
  seen("workspace, balance, and keys that are none");
  return credits.body.balance;
}

async function refusals() {
  const batch = (data, more = {}) => ({ name: "refused", data, ...more });
  const custom = (value) => batch([contact("Snow", { custom: { user_id: value } })]);
  const many = (count) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, "v"]));
  for (const [path, body, code] of [
    [ENRICH, custom(12584), "error.enrichment.custom.value.type"],
    [ENRICH, custom(true), "error.enrichment.custom.value.type"],
    [ENRICH, custom(null), "error.enrichment.custom.value.type"],
    [ENRICH, custom({}), "error.enrichment.custom.value.type"],
    [ENRICH, custom("x".repeat(101)), "error.enrichment.custom.value.exceeded"],
    [ENRICH, batch([contact("Snow", { custom: many(21) })]),
      "error.enrichment.custom.key.exceeded"],
    [ENRICH, { data: [contact("Snow")] }, "error.enrichment.name.empty"],
    [ENRICH, batch([]), "error.enrichment.data.empty"],
    [ENRICH, batch([contact("Snow")], { webhook_url: "example.com/hook" }),
      "error.enrichment.webhook_url"],
    [ENRICH, batch([{ last_name: "Snow", domain: "example.com" }]),
      "error.enrichment.first_name.empty"],
    [ENRICH, batch([{ first_name: "John", domain: "example.com" }]),
      "error.enrichment.last_name.empty"],
    [ENRICH, batch([{ first_name: "John", last_name: "Snow" }]), "error.enrichment.domain.empty"],
    [ENRICH, batch([contact("Snow", { domain: "no domain" })]), "error.enrichment.domain.invalid"],
    [ENRICH, batch([{ linkedin_url: "https://example.com/x" }]),
      "error.enrichment.linkedin_url.invalid"],
    [ENRICH, batch([contact("Snow", { enrich_fields: [] })]),
      "error.enrichment.enrich_fields.empty"],
    [ENRICH, batch([contact("Snow", { enrich_fields: ["contact.fax"] })]),
      "error.enrichment.enrich_field.value"],
    [REVERSE, batch([{ custom: {} }]), "error.reverse.email.empty"],
    [REVERSE, batch([{ email: "no address" }]), "error.reverse.email.invalid"],
    [REVERSE, batch([{ email: "a@b.example", custom: many(11) }]),
      "error.enrichment.custom.key.exceeded"],
  ]) {
    isRefused(await call(path, { body }), 400, code);
  }
  const missing = "0197f0b7-1111-7000-8000-000000000000";
  isRefused(await call(`${ENRICH}/${missing}`), 404, "error.enrichment.not_found");
  isRefused(await call(`${REVERSE}/${missing}`), 404, "error.reverse.email.not_found");
  seen("every refusal of the description, numbers in custom among them");
}

const CUSTOM = { user_id: "12584", "": "", number: "007.50", odd: "\u0000\u2028 \"\\/ 👩‍👩‍👧 é e\u0301",
  __proto: "x" };

async function enrichment() {
  const id = await submit(ENRICH, {
    name: "Sales Operations",
    webhook_url: `${hooks}/batch`,
    webhook_events: { contact_finished: `${hooks}/contact` },
    data: [
      contact(SLOW, { custom: { n: "0" } }),
      contact("Snow",
        { company_name: "Example Inc", custom: CUSTOM, enrich_fields: ["contact.work_emails"] }),
      contact(UNKNOWN, { custom: { n: "2" } }),
      { linkedin_url: "https://www.linkedin.com/in/demoge/", crm_row: { n: 7 } },
    ],
  });
  const path = `${ENRICH}/${id}`;
  // At once: when the first event arrives, a busy machine may have finished the slow contact too.
  isRefused(await call(path), 400, "error.enrichment.in_progress");
  const [first] = await notified("/contact");
  check(first.body.id === id && first.body.status === "IN_PROGRESS" && first.body.data.length === 1,
    "one contact", first);
  const early = await call(`${path}?forceResults=true`);
  check(early.status === 200 && early.body.data.length === 4, "forceResults shows what is there",
    early);
  seen(`the first contact's event while the batch was ${early.body.status}`);

  const done = await finished(path);
  check(done.status === 200 && done.body.status === "FINISHED" && done.body.id === id,
    "the batch finishes", done);
  check(done.body.name === "Sales Operations" && done.body.cost.credits === 3,
    "three of four are paid for", done.body);
  const [batch] = await notified("/batch");
  check(batch.raw === done.raw, "the webhook has the poll's body",
    { sent: batch.raw, polled: done.raw });
  const contacts = await notified("/contact", 4);
  check(first.at <= batch.at, "a contact's event precedes the batch's", { first, batch });
  check(contacts.reduce((sum, event) => sum + event.body.cost.credits, 0) === 3,
    "each contact's own cost", contacts);
  for (const event of contacts) {
    check(done.body.data.some((one) => same(one, event.body.data[0])),
      "each contact as in the batch", event.body);
  }
  const [slow, snow, unknown, linked] = done.body.data;
  check(same(snow.custom, CUSTOM), "custom comes back as it was", snow.custom);
  const input = { first_name: "John", last_name: "Snow", company_domain: "example.com",
    company_name: "Example Inc" };
  check(same(snow.input, input), "the input under the description's names", snow.input);
  check(same(linked.input,
    { professional_network_url: "https://www.linkedin.com/in/demoge/", crm_row: { n: 7 } }),
    "what is unknown is kept, what was not sent is not there", linked);
  const email = { email: "john.snow@example.com", status: "DELIVERABLE" };
  check(same(snow.contact_info, { most_probable_work_email: email, work_emails: [email] }),
    "only what was asked for", snow);
  check(slow.contact_info.most_probable_phone.region === "US"
    && slow.contact_info.personal_emails.length === 1,
    "by default everything", slow);
  check(same(unknown.contact_info, {}) && !("profile" in unknown), "the third is unknown", unknown);
  check(typeof linked.profile.full_name === "string", "a profile for a URL", linked);
  isRefused(await call(`${REVERSE}/${id}`), 404, "error.reverse.email.not_found");
  seen("four contacts' events, then the batch's, with the poll's own body");
}

async function reverse() {
  const data =
    [{ email: "john.snow@example.com", custom: CUSTOM }, { email: "unknown@example.com" }];
  const id = await submit(REVERSE, {
    name: "Reverse", webhook_url: `${hooks}/lookup`,
    webhook_events: { contact_finished: `${hooks}/looked-up` }, data,
  });
  const done = await finished(`${REVERSE}/${id}`);
  check(done.status === 200 && done.body.status === "FINISHED" && done.body.cost.credits === 1,
    "it finishes", done);
  const [known, unknown] = done.body.data;
  check(same(known.input, { email: "john.snow@example.com" }) && same(known.custom, CUSTOM),
    "the echo", known);
  check(typeof known.profile === "object" && !("contact_info" in known),
    "a profile and no addresses", known);
  check(same(unknown, { input: { email: "unknown@example.com" } }), "the second is unknown",
    unknown);
  check((await notified("/lookup"))[0].raw === done.raw, "the webhook has the poll's body",
    events.get("/lookup"));
  check((await notified("/looked-up", 2)).every((event) => event.body.data.length === 1),
    "one each", events.get("/looked-up"));
  isRefused(await call(`${ENRICH}/${id}`), 404, "error.enrichment.not_found");
  seen("a reverse lookup and its events");
}

async function canceled() {
  const data = Array.from({ length: 90 }, (_, n) => contact(`${SLOW}-${n}`));
  const id = await submit(ENRICH, { name: "Canceled", webhook_url: `${hooks}/canceled`, data });
  const stopped = await call(`/v1/jobs/${id}/cancel`, { body: {} });
  check(stopped.status === 202, "the native surface cancels it by its id here", stopped);
  const done = await finished(`${ENRICH}/${id}`);
  check(done.status === 200 && done.body.status === "CANCELED" && done.body.data.length === 90,
    "it is CANCELED", done);
  const found = done.body.data.filter((one) => "phones" in one.contact_info).length;
  check(found === done.body.cost.credits && found < 90, "what was found is paid for",
    done.body.cost);
  check((await notified("/canceled"))[0].raw === done.raw, "the webhook has the poll's body",
    events.get("/canceled"));
  seen(`CANCELED by poll and webhook with ${found} of 90 contacts found`);
}

async function insufficient() {
  const poor = { key: POOR_API_KEY };
  for (const [path, data, credits, hook] of [
    [ENRICH, [contact("Snow"), contact("Stark"), contact("Arryn")], 1, "/poor"],
    [REVERSE, [{ email: "john.snow@example.com" }], 0, "/poor-lookup"],
  ]) {
    const id = await submit(path, { name: "Poor", webhook_url: `${hooks}${hook}`, data }, poor);
    const done = await finished(`${path}/${id}`, poor);
    check(done.status === 402 && done.body.status === "CREDITS_INSUFFICIENT",
      "credits do not suffice", done);
    check(done.body.cost.credits === credits && done.body.data.length === data.length,
      "the result goes along", done.body);
    check((await notified(hook))[0].raw === done.raw, "the webhook has the poll's body",
      events.get(hook));
    isRefused(await call(`${path}/${id}`), 404,
      path === ENRICH ? "error.enrichment.not_found" : "error.reverse.email.not_found");
  }
  const credits = await call("/api/v2/account/credits", poor);
  check(credits.body.balance === 0, "the last credit is spent", credits);
  seen("CREDITS_INSUFFICIENT by poll, with 402, and by webhook");
}

async function repeated() {
  const headers = { "Idempotency-Key": `repeated-${Date.now()}` };
  const body = { name: "Repeated", data: [{ email: "repeated@example.com" }] };
  const [one, two] =
    [await submit(REVERSE, body, { headers }), await submit(REVERSE, body, { headers })];
  check(one === two, "the same request under one Idempotency-Key is one batch", [one, two]);
  seen("a repeated request made no second batch");
}

const before = await account();
await refusals();
await Promise.all([enrichment(), reverse(), repeated(), POOR_API_KEY ? insufficient() : undefined]);
await canceled();
const after = await account();
check(after < before, "credits were spent", { before, after });
check(refused.length === 0, "every delivery verified", refused[0]);
const verified = [...events.values()].flat().length;
console.log(`${verified} webhooks verified, ${before - after} credits spent`);
console.log("every promise was kept");
receiver.close();
receiver.closeAllConnections();
