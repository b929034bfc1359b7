"""Writes domains-1000.csv (id, domain, crm_id): the input of the demonstration job.

    python3 infra/local/demo/make_domains.py

700 rows are brands of infra/data/brands.csv, written as people write domains (bare, www., URL,
upper case, subdomain, white space around); 280 are well formed and unknown (reserved names of RFC
6761, which cannot be registered); 20 are not domains at all. So a job over them ends with 700
found, 280 not_found and 20 invalid. Deterministic: no random numbers, the order is a fixed stride.
"""

import csv
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
BRANDS = HERE.parents[1] / "data/brands.csv"
FOUND, UNKNOWN, INVALID = 700, 280, 20

NO_DOMAINS = [
    "not a domain",
    "localhost",
    "n/a",
    "-",
    "192.0.2.10",
    "https://",
    "someone@example.com",
    "acme..example",
    "[2001:db8::1]",
    "-acme-.example",
    "http:///path",
    "unknown",
    "???",
    "acme,example",
    "a" * 64 + ".example",
    "TBD",
    "acme example com",
    "none",
    "#REF!",
    "acme",
]

WAYS = [
    lambda d: d,
    lambda d: d,
    lambda d: d,
    lambda d: f"www.{d}",
    lambda d: f"https://www.{d}/",
    lambda d: f"https://{d}/about?ref=crm#team",
    lambda d: d.upper(),
    lambda d: f"news.{d}",
    lambda d: f" {d} ",
    lambda d: f"{d}.",
]


def main() -> None:
    with BRANDS.open(encoding="utf-8", newline="") as file:
        domains = [row["domain"] for row in csv.DictReader(file)]
    # Every third or so, so that all of the alphabet is there.
    step = len(domains) / FOUND
    values = [WAYS[n % len(WAYS)](domains[int(n * step)]) for n in range(FOUND)]
    values += [
        f"unknown-{n:04}.{('example', 'test', 'invalid')[n % 3]}" for n in range(1, UNKNOWN + 1)
    ]
    values += NO_DOMAINS
    total = len(values)
    assert total == FOUND + UNKNOWN + INVALID == 1000
    # 389 and 1000 have no common divisor: every value once, the three sorts well mixed.
    mixed = [values[n * 389 % total] for n in range(total)]
    with (HERE / "domains-1000.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "domain", "crm_id"])
        writer.writerows(
            (f"row-{n:04}", value, f"crm-{n * 7919 % 100_000:05}")
            for n, value in enumerate(mixed, 1)
        )


if __name__ == "__main__":
    main()
