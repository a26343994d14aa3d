"""A wait for a child whose output nobody reads."""

import subprocess, sys

child = subprocess.Popen([sys.executable, "-c", "print('x' * 1_000_000)"], stdout=subprocess.PIPE)
print(child.wait())
