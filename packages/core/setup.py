"""The C extensions, which are optional: without a compiler, Python code does their work."""

import sysconfig

from setuptools import Extension, setup

# The code has no Py_RETURN_NONE, _TRUE and _FALSE: with the headers of 3.12 and 3.13 they count no
# reference, because these objects are immortal there. In 3.11 they are not, and a build for all
# would take None down at last.
LIMITED_API = [("Py_LIMITED_API", "0x030B0000")]


# A free-threaded CPython has no limited API: a build serves the version that it was made with.
ONE_BUILD_FOR_ALL = not sysconfig.get_config_var("Py_GIL_DISABLED")


def extension(name: str, *sources: str, headers: tuple[str, ...] = ()) -> Extension:
    """Return an extension of ``membudget.recording``, made from files in ``csrc``."""
    return Extension(
        f"membudget.recording.{name}",
        [f"csrc/{source}" for source in sources],
        depends=[f"csrc/{header}" for header in headers],
        define_macros=LIMITED_API if ONE_BUILD_FOR_ALL else [],
        extra_compile_args=["-std=gnu11", "-O2", "-fvisibility=hidden", "-pthread"],
        extra_link_args=["-pthread"],
        py_limited_api=ONE_BUILD_FOR_ALL,
        optional=True,
    )


setup(
    ext_modules=[
        extension("_marks", "marksmodule.c"),
        extension("_tracemalloc", "tracemallocmodule.c"),
        extension(
            "_scanner",
            "scannermodule.c",
            "follower.c",
            "capture_holes.c",
            "reader_memory.c",
            "block_writer.c",
            "capture_copy.c",
            "scanner.c",
            "curve.c",
            "block_stacks.c",
            "stack_tree.c",
            "interned.c",
            "line_table.c",
            "live_memory.c",
            "capture_decoder.c",
            headers=(
                "block_stacks.h",
                "block_writer.h",
                "capture_copy.h",
                "capture_decoder.h",
                "capture_format.h",
                "capture_holes.h",
                "curve.h",
                "follower.h",
                "growth.h",
                "interned.h",
                "line_table.h",
                "live_memory.h",
                "native_frames.h",
                "reader_memory.h",
                "scanner.h",
                "stack_tree.h",
            ),
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ONE_BUILD_FOR_ALL else {},
)
