"""Writes shared/src/providers/kinds/web/schema_types.txt.

It has schema.org's types at and below the roots that the code asks for, one a line with its
parents, in byte order.

The lines become a map when the first page is read, and point into the text. The whole vocabulary
would be nine times as long, and nothing asks for the rest.

Source: the npm package `schema-dts` at the version below (Apache-2.0), which is made from
schema.org's vocabulary (CC BY-SA 3.0). A type's union there names the type itself and those
directly below it.

    python3 infra/data/make_schema_types.py
"""

import pathlib
import re
import subprocess
import tarfile
import tempfile

PACKAGE = "schema-dts@2.1.0"
ROOTS = ["Organization", "WebPage", "WebSite"]
OUTPUT = (
    pathlib.Path(__file__).resolve().parents[2] / "shared/src/providers/kinds/web/schema_types.txt"
)

HEADER = """\
// Types of schema.org at and below {roots}, each with its parents, sorted.
// From https://schema.org by its sponsors, under https://creativecommons.org/licenses/by-sa/3.0/, and so is this excerpt.
// Made by infra/data/make_schema_types.py from {package}.

"""  # noqa: E501


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", directory, PACKAGE], check=True
        )
        archive = next(pathlib.Path(directory).glob("*.tgz"))
        with tarfile.open(archive) as files:
            text = files.extractfile("package/dist/schema.d.ts").read().decode("utf-8")
    named = set(re.findall(r'"@type": "(\w+)";', text))
    below = {}
    for name, union in re.findall(
        r"^export type (\w+)(?:<[^=]*>)? = ([^;]*);$", text, re.MULTILINE
    ):
        if name in named:
            below[name] = {member.strip() for member in union.split("|")} & named - {name}
    kept, queue = {root: set() for root in ROOTS}, list(ROOTS)
    while queue:
        parent = queue.pop()
        for child in below[parent]:
            if child not in kept:
                kept[child] = set()
                queue.append(child)
            kept[child].add(parent)
    lines = [" ".join([name, *sorted(parents)]) + "\n" for name, parents in sorted(kept.items())]
    OUTPUT.write_text(
        HEADER.format(roots=", ".join(ROOTS), package=PACKAGE) + "".join(lines), encoding="ascii"
    )
    print(f"{OUTPUT.name}: {len(lines)} of {len(named)} types, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
