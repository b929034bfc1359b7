"""Checks a webhook's signature with the public package of PyPI.

Reads JSON {secret, headers, body} from stdin. Ends with 0 where it is good, 3 where it is not;
any other code means that nothing was checked.
"""

import json
import sys

from standardwebhooks import Webhook, WebhookVerificationError

given = json.load(sys.stdin)
try:
    Webhook(given["secret"]).verify(given["body"], given["headers"])
except WebhookVerificationError as error:
    print(error)
    sys.exit(3)
