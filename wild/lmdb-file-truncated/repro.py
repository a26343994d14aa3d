"""A database's file is cut while it is mapped."""

import os, tempfile, lmdb
folder = tempfile.mkdtemp()
env = lmdb.open(folder, map_size=1 << 24)
with env.begin(write=True) as txn:
    for i in range(2000):
        txn.put(b"%08d" % i, b"v" * 100)
os.truncate(os.path.join(folder, "data.mdb"), 8192)
with env.begin() as txn:
    print(sum(len(value) for _, value in txn.cursor()), flush=True)
