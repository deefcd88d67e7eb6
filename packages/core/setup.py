"""The C extensions, which are optional: without a compiler, Python code does their work."""

from setuptools import Extension, setup

LIMITED_API = [("Py_LIMITED_API", "0x030B0000")]


def extension(name: str, *sources: str) -> Extension:
    """Return an extension of ``membudget.recording``, made from files in ``csrc``."""
    return Extension(
        f"membudget.recording.{name}",
        [f"csrc/{source}" for source in sources],
        depends=[
            "csrc/block_writer.h",
            "csrc/capture_copy.h",
            "csrc/capture_decoder.h",
            "csrc/live_memory.h",
            "csrc/peak_writer.h",
            "csrc/scanner.h",
        ],
        define_macros=LIMITED_API,
        extra_compile_args=["-std=gnu11", "-O2"],
        py_limited_api=True,
        optional=True,
    )


setup(
    ext_modules=[
        extension("_marks", "marksmodule.c"),
        extension(
            "_scanner",
            "scannermodule.c",
            "block_writer.c",
            "peak_writer.c",
            "capture_copy.c",
            "scanner.c",
            "live_memory.c",
            "capture_decoder.c",
        ),
    ],
    # One wheel serves every version of CPython.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
