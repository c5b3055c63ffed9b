#!/usr/bin/env bash
# Builds every fuzz target the way OSS-Fuzz asks for: programs, seed corpora, dictionaries and options into $OUT.
# It also works without its images: OUT=/tmp/out fuzz/oss-fuzz/build.sh needs cargo-fuzz, a C++ compiler and zip.
set -euo pipefail
if [ -d "${SRC:-/nowhere}/quic-relay" ]; then cd "$SRC/quic-relay"; else cd "$(dirname "$0")/../.."; fi
: "${OUT:?where to put what is built}"
mkdir -p "$OUT"

# What a rig wants to look for; `none` is what the campaign uses (doc/fuzzing.md says why).
sanitizer=${SANITIZER:-none}
# Sanitizers are unstable flags; this makes a stable compiler take them, too.
[ "$sanitizer" = none ] || export RUSTC_BOOTSTRAP=1
# These talk to the kernel of the machine they run on, with rights that a rig does not give.
left_out=${LEFT_OUT:-kernel_twin}

for crate in fuzz fuzz/differential; do
    # Each sanitizer has a folder of its own, as in fuzz/campaign.
    built=$crate/target/oss-fuzz/$sanitizer
    cargo fuzz build --fuzz-dir "$crate" --target-dir "$built" --sanitizer "$sanitizer" --debug-assertions
    prefix=$([ "$crate" = fuzz ] || echo differential_)
    for target in $(cargo fuzz list --fuzz-dir "$crate"); do
        case " $left_out " in *" $target "*) continue ;; esac
        cp "$built"/*/release/"$target" "$OUT/$prefix$target"
        [ ! -d "$crate/corpus/$target" ] || zip -qj "$OUT/$prefix${target}_seed_corpus.zip" "$crate/corpus/$target"/*
        [ ! -e "$crate/dictionaries/$target.dict" ] || cp "$crate/dictionaries/$target.dict" "$OUT/$prefix$target.dict"
        printf '[libfuzzer]\nmax_len = 4096\ntimeout = 25\n' >"$OUT/$prefix$target.options"
    done
done
