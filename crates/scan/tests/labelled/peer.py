"""Tells what cve-bin-tool's checkers see in a folder, one JSON object a line. Its vulnerability data,
which it would fetch, is not needed for that; a checker that fetches something itself is left out."""

import json
import logging
import sys

from cve_bin_tool.checkers import BUILTIN_CHECKERS
from cve_bin_tool.version_scanner import VersionScanner

logging.disable(logging.CRITICAL)
checkers = {}
for entry in BUILTIN_CHECKERS.values():
    try:
        checkers[entry.name] = entry.load()
    except Exception as error:
        print(f"left out: {entry.name}: {error}", file=sys.stderr)
scanner = VersionScanner(should_extract=False, checkers=checkers, validate=False)
for scanned in scanner.recursive_scan(sys.argv[1]):
    if scanned is None:
        continue
    product = scanned.product_info
    row = {"file": scanned.file_path, "product": product.product, "version": product.version}
    print(json.dumps(row))
