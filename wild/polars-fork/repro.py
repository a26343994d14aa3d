"""A query before a fork, and one behind it."""

import os, polars as pl
frame = pl.DataFrame({"g": [i % 7 for i in range(100000)], "v": range(100000)})
ask = lambda: print(frame.lazy().group_by("g").agg(pl.col("v").sum()).collect().height, flush=True)
ask()
pid = os.fork()
if pid == 0:
    ask()
    os._exit(0)
print("child", os.waitpid(pid, 0)[1], flush=True)
