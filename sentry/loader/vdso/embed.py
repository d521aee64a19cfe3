#!/usr/bin/env python3
"""embed.py IN OUT: the bytes of IN, padded to whole pages, as a C array."""

import sys

PAGE = 4096


def main():
    with open(sys.argv[1], "rb") as f:
        data = f.read()
    data += b"\0" * (-len(data) % PAGE)
    with open(sys.argv[2], "w") as f:
        f.write('#include "sentry/loader/vdso/vdso_blob.h"\n\n')
        f.write("const unsigned vdso_blob_size = %d;\n" % len(data))
        f.write("const unsigned char vdso_blob[] = {\n")
        for i in range(0, len(data), 16):
            f.write("\t%s,\n" % ", ".join("%d" % b for b in data[i:i + 16]))
        f.write("};\n")


main()
