#!/usr/bin/env python3
"""Scrapes exporters' pages each second and dumps every series as a column, for `columns` to measure.

    tools/capture.py SECONDS OUT.cols node=http://127.0.0.1:9100/metrics prom=http://127.0.0.1:9090/metrics

The dump is written anew every ten minutes and at the end. What a page had no value for is not in it.
"""
import os
import struct
import sys
import time
import urllib.request


def dump(path, columns):
    with open(path + ".tmp", "wb") as out:
        out.write(b"DZCOLS1\n" + struct.pack("<I", len(columns)))
        for name in sorted(columns):
            text, samples = name.encode(), columns[name]
            out.write(struct.pack("<H", len(text)) + text + struct.pack("<I", len(samples)))
            for sample in samples:
                out.write(struct.pack("<qd", *sample))
    os.rename(path + ".tmp", path)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    seconds, path = int(sys.argv[1]), sys.argv[2]
    targets = [target.split("=", 1) for target in sys.argv[3:]]
    columns, began = {}, time.time()
    for second in range(seconds):
        time.sleep(max(0, began + second - time.time()))
        for name, url in targets:
            timestamp_ms = int(time.time() * 1000)
            try:
                page = urllib.request.urlopen(url, timeout=5).read().decode()
            except OSError as error:
                print(f"{url}: {error}", file=sys.stderr)
                continue
            for line in page.split("\n"):
                if line and not line.startswith("#"):
                    series, value = line.rsplit(" ", 1)
                    columns.setdefault(f"{name} {series}", []).append((timestamp_ms, float(value)))
        if second % 600 == 599:
            dump(path, columns)
    dump(path, columns)


main()
