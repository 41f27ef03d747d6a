#!/usr/bin/python3
"""Makes page_data.cpp: embed.py HTML CSS JS OPENAPI OUTPUT. Style and script are put into the page where
@STYLE@ and @SCRIPT@ stand; its policy allows exactly these two, by their hashes."""

import base64
import hashlib
import json
import pathlib
import sys

LINE = 90


def source_of(text):
    """Hash of an inline element for Content-Security-Policy (CSP Level 3, section 2.3.1)."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def literal(text):
    """A text as string literals of C++."""
    data = text.encode()
    lines = []
    for start in range(0, len(data), LINE):
        part = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in "\"\\?" else f"\\{byte:03o}"
                       for byte in data[start:start + LINE])
        lines.append(f'    "{part}"')
    return "\n".join(lines)


def main():
    html, style, script, openapi = (pathlib.Path(path).read_text(encoding="utf-8")
                                    for path in sys.argv[1:5])
    for text in (style, script):
        assert "</" not in text, "would end its element"
    page = html.replace("@STYLE@", style).replace("@SCRIPT@", script)
    policy = (f"default-src 'none'; script-src {source_of(script)}; style-src {source_of(style)}; "
              "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
              "frame-ancestors 'none'")
    described = json.dumps(json.loads(openapi), separators=(",", ":"))
    texts = {"status_page": page, "status_page_policy": policy, "openapi_document": described}
    body = "".join(f"std::string_view {name}() {{\n  return\n{literal(text)};\n}}\n\n" for name, text in texts.items())
    pathlib.Path(sys.argv[5]).write_text('#include "server/page_data.h"\n\nnamespace postern::server {\n\n'
                                         f"{body}}}  // namespace postern::server\n", encoding="utf-8")


if __name__ == "__main__":
    main()
