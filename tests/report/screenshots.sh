#!/bin/sh
# Pictures of a report page, to be looked at: desk and phone, light and dark, and on paper.
# usage: tests/report/screenshots.sh PAGE.html OUT_FOLDER    (needs chromium)
set -eu
page=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT

# Headless windows have a least width, so the phone is a frame of 360 pixels.
frame="$profile/phone.html"
printf '<body style="margin:0"><iframe src="file://%s" style="width:360px;height:5600px;border:0"></iframe>' \
  "$page" > "$frame"

browse() {
  chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
    --disable-background-networking --disable-component-update --disable-sync \
    --user-data-dir="$profile/data" "$@" >/dev/null 2>&1
}
shoot() {  # name, width, height, colour scheme (0 dark, 1 light), file
  browse --blink-settings=preferredColorScheme="$4" --window-size="$2,$3" \
    --screenshot="$out/$1.png" "file://$5"
  echo "$out/$1.png"
}
shoot desk_light 1280 4300 1 "$page"
shoot desk_dark 1280 4300 0 "$page"
shoot phone_light 500 5600 1 "$frame"
shoot phone_dark 500 5600 0 "$frame"
browse --no-pdf-header-footer --print-to-pdf="$out/paper.pdf" "file://$page"
echo "$out/paper.pdf"
