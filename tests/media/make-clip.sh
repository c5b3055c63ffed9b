#!/bin/sh
# Makes clip.ivf, the default input of `quic-relay lab`: 10 s of moving test picture, VP8 in IVF,
# 320x240 at 25 frames a second, a key frame each second, at most 400 KB. Needs ffmpeg with libvpx.
# The clip is in the repository; this is how it was made. Other versions of libvpx make other bytes.
set -eu
cd "$(dirname "$0")"
ffmpeg -hide_banner -loglevel error -y \
    -f lavfi -i testsrc2=size=320x240:rate=25:duration=10 \
    -c:v libvpx -b:v 300k -minrate 300k -maxrate 300k \
    -g 25 -keyint_min 25 -auto-alt-ref 0 -deadline good -cpu-used 2 -threads 1 \
    -flags +bitexact -fflags +bitexact -an -f ivf clip.ivf
size=$(wc -c < clip.ivf)
[ "$size" -le 400000 ] || { echo "clip.ivf is $size bytes, more than 400000" >&2; exit 1; }
