"""Extension modules: the only place with compiler directives, flags and build switches.

All metadata are in pyproject.toml. Environment variables:

GRAPHEMBED_NO_OPENMP=1   build without OpenMP; threads are then Python threads, results identical
GRAPHEMBED_DEBUG=1       bounds checks, address and undefined-behaviour sanitizers, -O1 -g
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
KERNELS = "graphembed/_kernels"
DEBUG = os.environ.get("GRAPHEMBED_DEBUG", "0") not in ("", "0")
NO_OPENMP = os.environ.get("GRAPHEMBED_NO_OPENMP", "0") not in ("", "0")
MSVC = sys.platform == "win32"
N_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# A free-threaded interpreter has no stable ABI.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")


def openmp_flags() -> list[str]:
    """Flags that compile and link OpenMP, or none: probed with the compiler that builds us."""
    # macOS: a second OpenMP runtime beside torch's aborts the process, so Python threads are used.
    if NO_OPENMP or sys.platform == "darwin":
        return []
    if MSVC:
        return ["/openmp"]
    compiler = os.environ.get("CC", sysconfig.get_config_var("CC") or "cc").split()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text(
            "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        )
        command = [*compiler, "-fopenmp", str(source), "-o", str(Path(folder, "probe"))]
        try:
            probe = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            sys.exit(f"graphembed needs a C compiler to build: {compiler[0]!r}: {error.strerror}")
    if probe.returncode == 0:
        return ["-fopenmp"]
    print(f"graphembed: no OpenMP, Python threads are used instead ({' '.join(command[:2])})")
    return []


def compile_flags() -> list[str]:
    """Optimisation flags; no -march=native and no -ffast-math: results are the same everywhere."""
    if MSVC:
        return ["/O2", "/fp:precise"]
    # Without contraction a*b+c rounds twice on every processor, with FMA or not.
    # Nobody reads floating-point exception flags, which would keep loops from being vectorised.
    common = [
        "-ffp-contract=off", "-fno-trapping-math", "-Wno-unused-function", "-Wno-psabi",
    ]  # fmt: skip
    if DEBUG:
        return [*common, "-O1", "-g", "-fno-omit-frame-pointer", *sanitizers()]
    return [*common, "-O3"]


def sanitizers() -> list[str]:
    """Sanitizers of the debug build."""
    return ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def extensions() -> list[Extension]:
    """One extension for every .pyx file: a new kernel needs no registration."""
    openmp = openmp_flags()
    macros = [("Py_LIMITED_API", "0x030B0000")] if ABI3 else []
    return [
        Extension(
            ".".join(path.relative_to(ROOT).with_suffix("").parts),
            [str(path.relative_to(ROOT))],
            include_dirs=[KERNELS],
            depends=[str(p.relative_to(ROOT)) for p in (ROOT / KERNELS).glob("*.[hp]*")],
            define_macros=macros,
            extra_compile_args=[*compile_flags(), *openmp],
            extra_link_args=[*openmp, *(sanitizers() if DEBUG else [])],
            py_limited_api=ABI3,
        )
        for path in sorted((ROOT / "graphembed").rglob("*.pyx"))
    ]


class BuildExt(build_ext):
    """Translates a kernel just before it is compiled, not whenever this file is read.

    Installing reads this file three times. While one kernel is translated, others are compiled.
    """

    translation = threading.Lock()

    def build_extension(self, ext: Extension) -> None:
        """Translate and compile one kernel; several threads do so at a time."""
        with self.translation:
            (translated,) = cythonize(
                [ext],
                force=True,  # a file of another build (debug, no OpenMP) is not this one's
                compiler_directives={
                    "language_level": 3,
                    "boundscheck": DEBUG,
                    "wraparound": False,
                    "initializedcheck": DEBUG,
                    "cdivision": True,
                    "embedsignature": True,
                    "freethreading_compatible": True,
                },
            )
        ext.sources = translated.sources
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=extensions(),
    options={
        "build_ext": {"force": True, "parallel": N_CORES},
        **({"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {}),
    },
)
