"""Where cargo puts what it builds for this machine, by the variables that it follows."""

import os
from pathlib import Path


def debug(default: Path) -> Path:
    """The directory of debug builds; `default` is cargo's own target directory."""
    target = (
        os.environ.get("CARGO_TARGET_DIR") or os.environ.get("CARGO_BUILD_TARGET_DIR") or default
    )
    # Where a target is named, also if it is this machine's, its builds have a directory of their
    # own.
    return Path(target) / os.environ.get("CARGO_BUILD_TARGET", "") / "debug"
