// Checks a webhook's signature with the public package of npm: JSON {secret, headers, body} on
// stdin. Ends with 0 where it is good, 3 where it is not; any other code means that nothing was
// checked.

import { readFileSync } from "node:fs";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const given = JSON.parse(readFileSync(0, "utf8"));
try {
  new Webhook(given.secret).verify(given.body, given.headers);
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  console.log(error.message);
  process.exit(3);
}
