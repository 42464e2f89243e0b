"""`python -m clicklake.cli`: the command line, its errors as one sentence."""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

from clicklake.cli.app import app, options
from clicklake.errors import LakeError


def main() -> NoReturn:
    """Run the command that the arguments name and end the process with its exit code."""
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = code or 1
    # Not sys.exit: it would wait for downloads that an error or Ctrl-C has left in other threads.
    os._exit(code)


def _run() -> int:
    try:
        app(prog_name="lake")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BrokenPipeError:
        return 1
    except (LakeError, OSError) as error:
        if options.debug:
            traceback.print_exc()
        else:
            print(f"lake: {error}", file=sys.stderr)
        return options.error_exit_code
    except Exception:  # noqa: BLE001 - a fault of ours; what a command's exit code tells still holds
        traceback.print_exc()
        return options.error_exit_code
    return 0


if __name__ == "__main__":
    main()
