"""Tell what is missing on this machine before anything is installed.

Run by the Makefile with the user's own Python, which may be too old for the rest of the code.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig

OLDEST = (3, 11)


def find_problems():  # noqa: ANN201  # must be readable for an old Python
    """List what is missing, each with its remedy."""
    if sys.version_info < OLDEST:
        return [
            "Python 3.11 or newer is needed, but {} is {}.{}; name another: "
            "make PYTHON=/path/to/python3.11".format(sys.executable, *sys.version_info[:2])
        ]
    problems = []
    if importlib.util.find_spec("ensurepip") is None:
        problems.append(
            "this Python cannot make virtual environments: on Debian and Ubuntu "
            "'apt install python3-venv'"
        )
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        problems.append(
            f"no C compiler ({compiler!r} was not found): on Debian and Ubuntu 'apt install gcc', "
            "on macOS 'xcode-select --install', or name one: make CC=..."
        )
    header = os.path.join(sysconfig.get_path("include"), "Python.h")  # noqa: PTH118
    if not os.path.exists(header):  # noqa: PTH110
        problems.append(
            f"the headers of this Python are missing ({header}): on Debian and Ubuntu "
            "'apt install python3-dev'"
        )
    return problems


if __name__ == "__main__":
    sys.exit("\n".join(find_problems()) or None)
