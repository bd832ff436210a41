"""
Starts the CPI executable: C{python3 -I -S -B launcher.py CONFIG}.

In isolated mode Python does not look beside this file for modules, and that is wanted:
only what is named here is added, after the standard library.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 (the very thing to find out)
    # Packaging refused it, so another one has come since; whoever calls wants JSON.
    sys.stdin.buffer.read()
    print(
        '{"result": null, "log": "", "error": {"type": "Bosh::Clouds::CpiError", '
        '"message": "runc_cpi: python3 is version '
        + ".".join(map(str, sys.version_info[:2]))
        + '; 3.9 or newer is needed", "ok_to_retry": false}}'
    )
    sys.exit(0)

sys.path.append(__file__.rpartition("/")[0])

from runc_cpi.cpi.__main__ import main  # noqa: E402 (found only now)

main()
