#!/bin/bash
# Makes sure that what the build needs is there: Swift 6.3 (checked, not installed) and the development files of FFmpeg's
# libraries and of SQLite (installed through apt-get or brew when they are missing). Does nothing and asks nothing when all is there.
set -euo pipefail

fail() {
    echo "error: $*" >&2
    exit 1
}

swift=${SWIFT:-swift}
command -v "$swift" > /dev/null || fail "Swift is not installed or not in PATH. gemma3n needs Swift 6.3 or newer: https://www.swift.org/install"
version=$("$swift" --version 2> /dev/null | sed -nE 's/.*Swift version ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
[ -n "$version" ] || fail "'$swift --version' does not tell its version. gemma3n needs Swift 6.3 or newer: https://www.swift.org/install"
if [ "${version%%.*}" -lt 6 ] || { [ "${version%%.*}" -eq 6 ] && [ "${version#*.}" -lt 3 ]; }; then
    fail "this is Swift $version. gemma3n needs Swift 6.3 or newer: https://www.swift.org/install"
fi

# The server keeps conversations in SQLite.
libraries="libavformat libavcodec libswscale libswresample libavutil sqlite3"
if command -v pkg-config > /dev/null && pkg-config --exists $libraries; then
    exit 0
fi

if command -v apt-get > /dev/null; then
    packages="pkg-config"
    for library in $libraries; do packages="$packages lib${library#lib}-dev"; done
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo > /dev/null || fail "FFmpeg's libraries or SQLite are missing. Install them as root: apt-get install $packages"
        root="sudo"
    fi
    echo "Installing FFmpeg's libraries and SQLite: $packages"
    $root apt-get update -qq
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages > /dev/null
elif command -v brew > /dev/null; then
    echo "Installing FFmpeg's libraries and SQLite: brew install ffmpeg sqlite pkgconf"
    brew install --quiet ffmpeg sqlite pkgconf
else
    fail "FFmpeg's libraries or SQLite ($libraries) are missing, and neither apt-get nor brew is here to install them. Install their development files and pkg-config, then try again."
fi
pkg-config --exists $libraries || fail "FFmpeg's libraries and SQLite were installed, but pkg-config does not find $libraries. Is PKG_CONFIG_PATH set?"
