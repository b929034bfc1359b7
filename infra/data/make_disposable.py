"""Writes disposable-domains.txt: domains that hand out e-mail addresses to be thrown away.

    python3 infra/data/make_disposable.py

Needs npm, which downloads the pinned package into a temporary directory. It carries the list of the
project disposable-email-domains
(https://github.com/disposable-email-domains/disposable-email-domains, CC0-1.0) unchanged, and is
under CC0-1.0 itself. The same package gives the same bytes.
"""

import json
import pathlib
import subprocess
import tarfile
import tempfile

PACKAGE = "disposable-email-domains-js@1.26.0"
OUTPUT = pathlib.Path(__file__).resolve().parent / "disposable-domains.txt"

HEADER = f"""\
# Domains of disposable e-mail addresses: the list of the project disposable-email-domains, CC0-1.0, as the npm package
# {PACKAGE} carries it. Made by infra/data/make_disposable.py.
"""  # noqa: E501


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["npm", "pack", "--silent", PACKAGE],
            cwd=directory,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        archive = next(pathlib.Path(directory).glob("*.tgz"))
        with tarfile.open(archive) as tar:
            license_name = json.load(tar.extractfile("package/package.json"))["license"]
            if license_name != "CC0-1.0":
                raise SystemExit(f"{PACKAGE} is under {license_name} now, not CC0-1.0")
            domains = json.load(
                tar.extractfile("package/dist/dict/disposable_email_blocklist.json")
            )
    # Names in people's own letters become A-labels; the list is lower-case already.
    plain = sorted({domain.strip().lower().encode("idna").decode("ascii") for domain in domains})
    OUTPUT.write_text(HEADER + "".join(f"{domain}\n" for domain in plain), encoding="ascii")
    print(f"{OUTPUT.name}: {len(plain)} domains, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
