"""Writes shared/src/providers/kinds/public_suffixes.txt.

It has the Public Suffix List, one rule a line, ASCII, in byte order.

Sorted lines are looked up by binary search where they lie, which costs 140 KB of binary and nothing
at start. (The list as code, the `psl` crate, was measured at 700 KB with the release profile.)

Source: the PyPI package `publicsuffixlist` at the version below, which carries Mozilla's list
(MPL-2.0) unchanged.

    python3 infra/data/make_suffixes.py
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "publicsuffixlist==1.1.2.20261023"
OUTPUT = (
    pathlib.Path(__file__).resolve().parents[2] / "shared/src/providers/kinds/public_suffixes.txt"
)

HEADER = """\
// The Public Suffix List of {version}, ICANN and private sections, A-labels, sorted.
// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0. If a copy of the MPL was not
// distributed with this file, You can obtain one at https://mozilla.org/MPL/2.0/. Made by infra/data/make_suffixes.py.

"""  # noqa: E501


def a_label(label: str) -> str:
    # The list is lower-case NFC already, so that plain punycode equals IDNA; Python's own codec is
    # IDNA 2003 and would map letters such as sharp s away.
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                directory,
                PACKAGE,
            ],
            check=True,
        )
        wheel = next(pathlib.Path(directory).glob("*.whl"))
        text = (
            zipfile.ZipFile(wheel).read("publicsuffixlist/public_suffix_list.dat").decode("utf-8")
        )
    version = next(line for line in text.splitlines() if line.startswith("// VERSION:")).split()[-1]
    rules = set()
    for line in text.splitlines():
        rule = line.split(None, 1)[0] if line.strip() else ""
        if rule and not rule.startswith("//"):
            rules.add(".".join(a_label(label) for label in rule.split(".")))
    OUTPUT.write_text(
        HEADER.format(version=version) + "".join(f"{rule}\n" for rule in sorted(rules)),
        encoding="ascii",
    )
    print(f"{OUTPUT.name}: {len(rules)} rules, {OUTPUT.stat().st_size} bytes, list of {version}")


if __name__ == "__main__":
    main()
