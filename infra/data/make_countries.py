"""Writes shared/src/providers/kinds/phone/countries.txt.

It has names and three-letter codes of countries with their two-letter code, one a line.

A key is a name in lower case without marks, spaces and punctuation, as `key` in
shared/src/providers/kinds/phone/country.rs makes it. Sorted lines are looked up by binary search
where they lie, which costs nothing at start.

Names are those of CLDR in English, in each country's own languages and in the ten languages that
most web pages are in, and those that the package i18n-iso-countries has beside them. A key that
would be two countries' is kept for the one that it is an own or English name of, and left out where
that does not tell.

Sources: the npm packages `cldr-core` and `cldr-localenames-full` (Unicode License V3) and
`i18n-iso-countries` (MIT) at the versions below; `npm` fetches them.

    python3 infra/data/make_countries.py
"""

import collections
import json
import pathlib
import subprocess
import tarfile
import tempfile
import unicodedata

CORE = "cldr-core@48.2.0"
NAMES = "cldr-localenames-full@48.2.0"
ISO = "i18n-iso-countries@7.14.0"
OUTPUT = (
    pathlib.Path(__file__).resolve().parents[2] / "shared/src/providers/kinds/phone/countries.txt"
)

# Those of most web pages, by W3Techs.
LANGUAGES = ["en", "es", "de", "ja", "fr", "pt", "ru", "it", "nl", "pl"]
# Common, and in neither source.
BY_HAND = {
    "England": "GB",
    "Scotland": "GB",
    "Wales": "GB",
    "Northern Ireland": "GB",
    "Holland": "NL",
    "Burma": "MM",
    "Macedonia": "MK",
    "Vatican": "VA",
    "Macau": "MO",
    "Republic of Ireland": "IE",
    "The Bahamas": "BS",
    "Federal Republic of Germany": "DE",
    "Bundesrepublik Deutschland": "DE",
    # In use, and of no standard.
    "XKX": "XK",
    # The European Union's own code.
    "EL": "GR",
}

# As Germans write them where a keyboard has none.
UMLAUTS = str.maketrans(
    {"Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}
)

HEADER = """\
# Keys of countries' names and three-letter codes, with their two-letter codes. Made by infra/data/make_countries.py from
# {core}, {names} (Copyright © 1991-2026 Unicode, Inc., Unicode License V3: https://www.unicode.org/license.txt)
# and {iso} (Copyright (c) 2011 Michael Wittig, MIT License).

"""  # noqa: E501


def key(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).lower())

    def counts(c: str) -> bool:
        if c.isascii():
            return c.isalnum()
        punctuation = 0x2000 <= ord(c) <= 0x206F or c in "\u00b7\u02bb\u02bc\u060c\u30fb"
        return not unicodedata.combining(c) and not c.isspace() and not punctuation

    return "".join(filter(counts, decomposed))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        packed = subprocess.run(
            ["npm", "pack", "--silent", CORE, NAMES, ISO],
            cwd=directory,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        core, names, iso = (
            tarfile.open(pathlib.Path(directory) / name)  # noqa: SIM115 - they end with the script
            for name in packed
        )

        def read(archive: tarfile.TarFile, path: str):
            try:
                return json.load(archive.extractfile(f"package/{path}"))
            except KeyError:
                return None

        mappings = read(core, "supplemental/codeMappings.json")["supplemental"]["codeMappings"]
        about = read(core, "supplemental/territoryInfo.json")["supplemental"]["territoryInfo"]
        codes = sorted({row[0] for row in read(iso, "codes.json")} | {"XK"})

        def spoken(language: str) -> dict[str, list[str]]:
            """Names of countries in a language, by their code."""
            found = collections.defaultdict(list)
            cldr = read(names, f"main/{language.replace('_', '-')}/territories.json")
            if cldr:
                for code, name in next(iter(cldr["main"].values()))["localeDisplayNames"][
                    "territories"
                ].items():
                    found[code.split("-alt-")[0]].append(name)
            other = read(iso, f"langs/{language}.json")
            for code, name in (other or {"countries": {}})["countries"].items():
                found[code].extend([name] if isinstance(name, str) else name)
            return found

        known = {}
        # How near a name is to its country: its code, English, by hand or its own language, another
        # language.
        ranks = collections.defaultdict(lambda: collections.defaultdict(lambda: 9))

        def add(name: str, code: str, rank: int) -> None:
            made = key(name)
            # What is two letters long is a code, and theirs.
            if len(made) > 2 or not made.isascii() or made in ("uk", "el"):
                ranks[made][code] = min(ranks[made][code], rank)

        for code in codes:
            if three := mappings.get(code, {}).get("_alpha3"):
                add(three, code, 0)
            own = about.get(code, {}).get("languagePopulation", {})
            for language in [tongue for tongue, said in own.items() if "_officialStatus" in said]:
                known.setdefault(language, spoken(language))
                for name in known[language].get(code, []):
                    add(name, code, 1)
        for language in LANGUAGES:
            for code, found in spoken(language).items():
                for name in found if code in codes else []:
                    add(name, code, 1 if language == "en" else 2)
                    if language == "de":
                        add(name.translate(UMLAUTS), code, 2)
        for name, code in BY_HAND.items():
            add(name, code, 1)

    lines, dropped = [], []
    for made, by_code in ranks.items():
        best = min(by_code.values())
        of = [code for code, rank in by_code.items() if rank == best]
        if len(of) == 1:
            lines.append(f"{made} {of[0]}\n")
        else:
            dropped.append((made, of))
    # By the keys' bytes, which a space behind them must not disturb.
    lines.sort(key=lambda line: line.split(" ")[0].encode())
    OUTPUT.write_text(
        HEADER.format(core=CORE, names=NAMES, iso=ISO) + "".join(lines), encoding="utf-8"
    )
    print(
        f"{OUTPUT.name}: {len(lines)} keys of {len(codes)} countries, "
        f"{OUTPUT.stat().st_size} bytes; two countries': {dropped}"
    )


if __name__ == "__main__":
    main()
