"""Writes brands.csv (domain, name, brand_color, source_url) from the npm package simple-icons.

    python3 infra/data/make_brands.py

Needs npm, which downloads the pinned package (CC0-1.0) into a temporary directory, and
public_suffixes.txt (see make_suffixes.py). The same inputs give the same bytes.

simple-icons names, for every brand, the page its logo was taken from. Where that page is on the
brand's own site, its registrable domain is the brand's domain. Whether it is the brand's own is
judged by likeness of name and domain:

  3  the same: `Spotify` and spotify.com, `Booking.com` and booking.com
  2  the name is part of the domain: `Postman` and getpostman.com
  1  the domain is part of the name: `Khronos Group` and khronos.org
  0  neither: `American Airlines` and aa.com, but also a brand whose logo was found on somebody
     else's site

Everything of likeness 1 and 2 was read once, and what is wrong is listed in NOT_THE_OWNER; of
likeness 0 only what is listed in READ_AND_RIGHT is taken. On hosts that serve many brands (SHARED,
and every domain below a private public suffix such as github.io) only likeness 3 counts: github.com
is GitHub's alone. Of several brands on one domain the likest wins, then the shortest
name, then the alphabet: hashicorp.com is HashiCorp, not Vault.
"""

import csv
import io
import json
import pathlib
import re
import subprocess
import tarfile
import tempfile
import unicodedata
from urllib.parse import urlsplit

PACKAGE = "simple-icons@16.37.0"
HERE = pathlib.Path(__file__).resolve().parent
SUFFIXES = HERE.parents[1] / "shared/src/providers/kinds/public_suffixes.txt"

# Code forges, encyclopedias, asset and logo hosts, social networks, stores, blobs and document
# hosts.
SHARED = set(
    """
    github.com githubusercontent.com gitlab.com codeberg.org bitbucket.org sourceforge.net
    savannah.gnu.org gnu.org gnome.org freedesktop.org googlesource.com launchpad.net sr.ht
    gitee.com npmjs.com pypi.org rubygems.org crates.io packagist.org wikipedia.org wikimedia.org
    wikidata.org fandom.com archive.org wikidot.com brandfolder.com brandfetch.com frontify.com
    brandpad.io brandlogos.net seeklogo.com worldvectorlogo.com vectorlogo.zone cryptologos.cc
    vtlogo.com logowik.com freebiesupply.com widencollective.com bynder.com icons8.com flaticon.com
    fontawesome.com mediaroom.com dribbble.com behance.net figma.com notion.so notion.site canva.com
    invisionapp.com twitter.com x.com facebook.com instagram.com linkedin.com youtube.com reddit.com
    discord.com discord.gg telegram.org t.me vk.com medium.com tumblr.com pinterest.com
    mastodon.social apple.com google.com gstatic.com googleusercontent.com googleapis.com
    microsoft.com windows.net cloudfront.net amazonaws.com azureedge.net akamaized.net imgix.net
    cloudinary.com squarespace.com wixstatic.com shopify.com ctfassets.net sanity.io zendesk.com
    custhelp.com dropbox.com box.com issuu.com scribd.com slideshare.net steamgames.com java.net
    jboss.org pydata.org kde.org suckless.org
    """.split()
)

# Sites that a brand uses for its logos alone, and its well-known site.
SAME_OWNER = {
    "partnermarketinghub.withgoogle.com": "google.com",
    "atlassian.design": "atlassian.com",
    "stackoverflow.design": "stackoverflow.com",
    "medium.design": "medium.com",
    "deezerbrand.com": "deezer.com",
}

# Alike, but the domain is another one's: a product of the owner, or a part of the group.
NOT_THE_OWNER = set(
    """
    android.com claude.com deno.com doist.com eclipse.org equinix.com laravel.com openai.com
    tencent.ai traefik.io yandex.com paramount.com prosiebensat1.com saudiatechnic.com skysports.com
    tatasteel.com ziggosport.nl nbcnews.com
    """.split()
)

# Not alike, but the brand's own.
READ_AND_RIGHT = {
    "11ty.dev": "Eleventy",
    "3ds.com": "Dassault Systèmes",
    "8card.net": "Eight",
    "aa.com": "American Airlines",
    "ah.nl": "Albert Heijn",
    "aldi-sued.de": "Aldi Süd",
    "alliedmods.net": "AlliedModders",
    "ameblo.jp": "Ameba",
    "apachefriends.org": "XAMPP",
    "bk.com": "Burger King",
    "bsky.social": "Bluesky",
    "ceair.com": "China Eastern Airlines",
    "critrole.com": "Critical Role",
    "csair.com": "China Southern Airlines",
    "cssinjs.org": "JSS",
    "db.com": "Deutsche Bank",
    "dw.com": "Deutsche Welle",
    "europa.eu": "European Union",
    "fite.tv": "TrillerTV",
    "flypgs.com": "Pegasus Airlines",
    "formula1.com": "F1",
    "frype.com": "Draugiem.lv",
    "getaegis.app": "Aegis Authenticator",
    "getbento.com": "BentoBox",
    "gm.com": "General Motors",
    "gnupg.org": "GNU Privacy Guard",
    "gs.com": "Goldman Sachs",
    "hacs.xyz": "Home Assistant Community Store",
    "jal.co.jp": "Japan Airlines",
    "jwt.io": "JSON Web Tokens",
    "lpi.org": "Linux Professional Institute",
    "makeuseof.com": "MUO",
    "minepi.com": "Pi Network",
    "mlh.io": "Major League Hacking",
    "mosmetro.ru": "Moscow Metro",
    "mpg.de": "Max-Planck-Gesellschaft",
    "mttr.net": "Matternet",
    "mueller.de": "Müller",
    "nicovideo.jp": "niconico",
    "nobaraproject.org": "Nobara Linux",
    "notebooksbilliger.de": "NBB",
    "ns.nl": "Nederlandse Spoorwegen",
    "nytimes.com": "New York Times",
    "oebb.at": "ÖBB",
    "one.one": "1.1.1.1",
    "openapis.org": "OpenAPI Initiative",
    "oshwa.org": "Open Source Hardware",
    "piolabs.com": "PlatformIO",
    "pptr.dev": "Puppeteer",
    "ppy.sh": "osu!",
    "readdc.com": "DC Entertainment",
    "remedygames.com": "Remedy Entertainment",
    "ril.com": "Reliance Industries Limited",
    "rtl2.de": "RTLZWEI",
    "se.com": "Schneider Electric",
    "spoj.com": "Sphere Online Judge",
    "take2games.com": "Take-Two Interactive Software",
    "tcs.com": "Tata Consultancy Services",
    "tfl.gov.uk": "Transport for London",
    "thegameawards.com": "TGA",
    "themoviedb.org": "The Movie Database",
    "tio.run": "Try It Online",
    "tkb.ch": "Thurgauer Kantonalbank",
    "vw.com": "Volkswagen",
    "wandb.ai": "Weights & Biases",
    "who.int": "World Health Organization",
    "wikimedia.org": "Wikimedia Foundation",
}


def read_package() -> list[dict]:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE],
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive = next(pathlib.Path(directory).glob("*.tgz"))
        with tarfile.open(archive) as tar:
            return json.load(tar.extractfile("package/data/simple-icons.json"))


def read_suffixes() -> set[str]:
    return set(SUFFIXES.read_text("ascii").split("\n\n", 1)[1].split())


def registrable(host: str, suffixes: set[str]) -> tuple[str | None, str]:
    """The registrable domain (None for a public suffix itself) and its public suffix."""
    labels = host.lower().rstrip(".").encode("idna").decode("ascii").split(".")
    for at in range(len(labels)):
        rest = ".".join(labels[at:])
        parent = ".".join(labels[at + 1 :])
        if "!" + rest in suffixes:
            return ".".join(labels[at:]), ".".join(labels[at + 1 :])
        if rest not in suffixes and f"*.{parent}" not in suffixes and parent:
            continue
        return (".".join(labels[at - 1 :]) if at else None), ".".join(labels[at:])
    return None, host


def plain(text: str) -> str:
    text = text.lower().replace("&", "and").replace("+", "plus")
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", text))


def likeness(names: list[str], domain: str) -> int:
    label, whole = plain(domain.split(".")[0]), plain(domain)
    best = 0
    for name in filter(None, map(plain, names)):
        if name in (label, whole):
            return 3
        if name in whole:
            best = max(best, 2)
        elif len(label) > 1 and label in name:
            best = max(best, 1)
    return best


def main() -> None:
    suffixes = read_suffixes()
    # A private suffix has a dot and belongs to somebody who lets others register below it; ICANN's
    # second levels (co.uk) are distinguished by their short last two labels, which is good enough
    # to decide where likeness must be full.
    private = re.compile(r"[a-z0-9-]{4,}\.[a-z]{2,}$")
    best: dict[str, tuple] = {}
    for entry in read_package():
        title, source = entry["title"], entry["source"]
        host = urlsplit(source).hostname
        if not host:
            continue
        domain, suffix = registrable(host, suffixes)
        if domain is None:
            continue
        domain = SAME_OWNER.get(domain, domain)
        degree = likeness([title], domain)
        right = READ_AND_RIGHT.get(domain) == title
        hosted = "." in suffix and private.search(suffix) is not None
        if (domain in SHARED or hosted) and degree < 3 and not right:
            continue
        if not right and (degree == 0 or (degree < 3 and domain in NOT_THE_OWNER)):
            continue
        row = (domain, title, "#" + entry["hex"].upper(), source)
        rank = (-4 if right else -degree, len(title), title, source)
        if domain not in best or rank < best[domain][0]:
            best[domain] = (rank, row)
    unused = [d for d, t in READ_AND_RIGHT.items() if best.get(d, (None, (None, None)))[1][1] != t]
    if unused:
        raise SystemExit(f"READ_AND_RIGHT no longer fits the package: {', '.join(unused)}")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["domain", "name", "brand_color", "source_url"])
    writer.writerows(
        row for _, row in sorted((rank_row[1][0], rank_row[1]) for rank_row in best.values())
    )
    (HERE / "brands.csv").write_text(out.getvalue(), encoding="utf-8", newline="")
    degrees = [rank[0] for rank, _ in best.values()]
    print(
        f"brands.csv: {len(best)} rows; same {degrees.count(-3)}, "
        f"part of the domain {degrees.count(-2)}, part of the name {degrees.count(-1)}, "
        f"read {degrees.count(-4)}"
    )


if __name__ == "__main__":
    main()
