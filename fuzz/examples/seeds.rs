//! Writes the named seeds to `fuzz/corpus/TARGET/NAME`. No RFC.

use quic_lite_fuzz::seeds::{corpus, recorded, seeds};

fn main() -> std::io::Result<()> {
    for seed in seeds().into_iter().chain(recorded()) {
        let folder = corpus().join(seed.target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(&seed.name), &seed.bytes)?;
    }
    Ok(())
}
