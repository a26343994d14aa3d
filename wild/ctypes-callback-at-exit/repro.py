"""A Python function as a handler of C's exit."""

import ctypes

callback = ctypes.CFUNCTYPE(None)(lambda: print("at exit"))
ctypes.CDLL(None).__cxa_atexit(callback, None, None)
print("main returns", flush=True)
