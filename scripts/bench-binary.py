"""The path of a benchmark's binary: reads what `cargo bench --no-run --message-format json` prints, as cargo names binaries
in its messages only. Usage: bench-binary.py NAME < messages
"""
import json
import sys

for line in sys.stdin:
    message = json.loads(line)
    if message.get("target", {}).get("name") == sys.argv[1] and message.get("executable"):
        print(message["executable"])
