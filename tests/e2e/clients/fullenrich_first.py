"""The public client of FullEnrich's API, version 1, as PyPI has it, against the deployed stack.

Ends with 0 if everything that it expects was seen. BASE_URL and API_KEY are in the environment.
"""

import os
import sys

from fullenrich import (
    AuthenticationError,
    EnrichmentRequest,
    FullEnrich,
    ReverseStatus,
)

URL = os.environ["BASE_URL"].rstrip("/") + "/api/v1"
SLOW = "slow2"
UNKNOWN = "unknown"


def check(holds: object, what: str, seen: object) -> None:
    if not holds:
        sys.exit(f"not so: {what}; seen: {seen}")


def enrich(client: FullEnrich) -> None:
    names = [SLOW, "Snow", UNKNOWN]
    requests = [
        EnrichmentRequest(
            firstname="John", lastname=name, domain="example.com", custom={"name": name}
        )
        for name in names
    ]
    requests.append(EnrichmentRequest(linkedin_url="https://www.linkedin.com/in/demoge/"))
    started = client.enrich_batch(requests, name="first")
    check(started.enrichment_id, "a submission has an id", started)
    early = client.get_enrichment(started.enrichment_id).raw_response
    check(early["status"] == "IN_PROGRESS" and "datas" not in early, "it runs at first", early)
    done = client.wait_for_enrichment(started.enrichment_id, max_attempts=300, poll_interval=1)
    batch = done.raw_response
    contacts = [entry["contact"] for entry in batch["datas"]]
    check(batch["id"] == started.enrichment_id and len(contacts) == 4, "all are there", batch)
    check(batch["cost"] == {"credits": 3}, "three of four are paid for", batch["cost"])
    for name, entry in zip(names, batch["datas"], strict=False):
        contact = entry["contact"]
        check(entry["custom"] == {"name": name}, "custom comes back", entry)
        check(
            (contact["firstname"], contact["lastname"], contact["domain"])
            == ("John", name, "example.com"),
            "the names of version 1",
            contact,
        )
    snow, unknown = contacts[1], contacts[2]
    check(
        snow["most_probable_email"] == "john.snow@example.com"
        and snow["most_probable_email_status"] == "DELIVERABLE"
        and isinstance(snow["most_probable_phone"], str)
        and snow["emails"]
        and not snow["personal_emails"],
        "addresses at work and phones by default",
        snow,
    )
    check(
        unknown["most_probable_email"] == "" and unknown["emails"] == [],
        "what is not known is empty",
        unknown,
    )


def look_up(client: FullEnrich) -> None:
    emails = ["john.snow@example.com", "unknown@example.com"]
    started = client.reverse_lookup(emails)
    done = client.wait_for_reverse_lookup(started.reverse_id, max_attempts=300, poll_interval=1)
    check(done.status == ReverseStatus.FINISHED, "a lookup finishes", done)
    check([entry["input"] for entry in done.datas] == emails, "each has its address", done.datas)
    known, unknown = (entry["contact"] for entry in done.datas)
    check("profile" in known and "profile" not in unknown, "one is known", done.datas)
    check(done.cost == {"credits": 1}, "one is paid for", done.cost)


def main() -> None:
    with FullEnrich(api_key=os.environ["API_KEY"], base_url=URL) as client:
        before = client.get_credits().balance
        enrich(client)
        look_up(client)
        after = client.get_credits().balance
        check(before - after == 4, "four credits were spent", (before, after))
        enriched = client.enrich_and_wait(
            "https://www.linkedin.com/in/demoge/", max_attempts=300, poll_interval=1
        )
        check(len(enriched.raw_response["datas"]) == 1, "one URL is one contact", enriched)
    try:
        FullEnrich(api_key="nobody", base_url=URL).get_credits()
        sys.exit("not so: a wrong key is refused")
    except AuthenticationError:
        pass
    print("everything that is promised was seen")


main()
