"""Compiled loops over typed buffers.

A kernel knows numpy dtypes and nothing else: the caller checks and allocates, the kernel fills
the buffers marked OUT. It never raises, never takes the GIL and never draws from a global
generator: random numbers are a function of (seed, task, counter), so the result does not depend
on the number of threads. A kernel works on the rows ``begin <= i < end``, which lets
`graphembed._threads.run_parallel` split the work where OpenMP is missing.
"""
