//! `dozor restore`: a snapshot in the place of a data folder.

use std::process::ExitCode;

use anyhow::bail;

use super::bar::Bar;
use super::{Place, bytes, lock, moment, snapshot_folder};
use crate::clock::Clock;
use crate::config::parse_duration_ms;
use crate::disk::{Disk, RealDisk};
use crate::storage;

/// Flags of `dozor restore`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct RestoreArgs {
    #[command(flatten)]
    place: Place,
    /// Name of a snapshot in the data folder, or the folder of one that lies elsewhere
    #[arg(long, value_name = "SNAPSHOT", group = "which")]
    from: Option<String>,
    /// As it was so long ago, like 6h: the newest snapshot in the data folder that is not younger
    #[arg(long, visible_alias = "as-of", value_name = "DURATION", group = "which", value_parser = parse_duration_ms)]
    ago: Option<i64>,
    /// Put what is in the data folder aside, as `replaced-TIME` in it; without this it has to be empty
    #[arg(long)]
    replace: bool,
}

/// Restores the snapshot and prints the data folder.
pub fn restore(flags: RestoreArgs) -> anyhow::Result<ExitCode> {
    let (disk, clock) = (RealDisk, Clock::system());
    let data_dir = flags.place.config()?.data_dir;
    let from = match (&flags.from, flags.ago) {
        (Some(given), _) => snapshot_folder(given, &data_dir)?,
        (None, Some(ago_ms)) => storage::as_of(&disk, &data_dir, clock.now_ms().saturating_sub(ago_ms))?.folder,
        (None, None) => bail!("give --from or --ago"),
    };
    disk.create_folder(&data_dir)?;
    let Some(_lock) = lock(&data_dir)? else {
        bail!("a server has {}: stop it first", data_dir.display());
    };
    eprintln!("from {}", from.display());
    let mut bar = Bar::new("checking");
    let restored = storage::restore(&disk, clock.now_ms(), &from, &data_dir, flags.replace, &mut |done, total| {
        bar.show("", done, total);
    });
    drop(bar);
    let restored = restored?;
    eprintln!("as of {}: {} files, {}", moment(restored.created_ms), restored.file_count, bytes(restored.bytes));
    if let Some(aside) = &restored.put_aside {
        eprintln!("what was there is in {}: remove it when you are content", aside.display());
    }
    println!("{}", data_dir.display());
    Ok(ExitCode::SUCCESS)
}
