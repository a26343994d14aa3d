"""An indentation that was not reckoned with."""

import ujson
print(len(ujson.dumps({"a": [{"b": [1, 2, 3]}] * 3}, indent=65539)))
