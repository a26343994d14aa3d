"""A pattern that backtracks without an end, beside a thread that would run."""

import re, threading

def beat():
    while True:
        threading.Event().wait(0.05)

threading.Thread(target=beat, daemon=True).start()
print("matching", flush=True)
re.match(r"(a+)+$", "a" * 64 + "b")
