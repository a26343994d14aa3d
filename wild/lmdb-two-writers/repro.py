"""Two write transactions in one thread."""

import tempfile, lmdb
env = lmdb.open(tempfile.mkdtemp())
first = env.begin(write=True)
first.put(b"a", b"1")
print("first", flush=True)
second = env.begin(write=True)
print("second", flush=True)
