// A receiver as in ApiOne's documentation: it parses a body and signs the JSON.stringify of it.
// On stdin one JSON object a line: `body` and `signature` (the header's value) and `secret` where there is one. `records`
// and `data`, texts of JSON arrays, are the sources of each result's `input` and `data`.
// On stdout one line for each: the checks that failed, separated by commas, or "good".

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";

const same = (text, found) => {
  const wanted = JSON.parse(text);
  return wanted.length === found.length && wanted.every((w, at) => JSON.stringify(w) === JSON.stringify(found[at]));
};

for await (const line of createInterface({ input: process.stdin })) {
  const given = JSON.parse(line);
  const parsed = JSON.parse(given.body);
  const again = JSON.stringify(parsed);
  const faults = [];
  if (!Buffer.from(again).equals(Buffer.from(given.body))) faults.push("bytes");
  if (given.signature !== undefined) {
    const expected = createHmac("sha256", given.secret).update(again).digest("hex");
    if (given.signature !== `sha256=${expected}`) faults.push("signature");
  }
  if (given.records !== undefined && !same(given.records, parsed.results.map((r) => r.input))) faults.push("input");
  if (given.data !== undefined && !same(given.data, parsed.results.map((r) => r.data))) faults.push("data");
  console.log(faults.join() || "good");
}
