//! `dozor verify`: every checksum of a data folder or a snapshot.

use std::process::ExitCode;

use super::bar::Bar;
use super::{Place, bytes, check_data_dir, snapshot_folder};
use crate::disk::RealDisk;
use crate::storage::{self, Verification};

/// The exit code where there is damage.
const DAMAGED: u8 = 1;
/// The exit code where it could not be found out.
const UNKNOWN: u8 = 2;

/// Flags of `dozor verify`.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// A snapshot in the place of the data: its name, or its folder
    #[arg(long, value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

/// Reads everything, prints each damage, and says by the exit code whether there is any: 0 none, 1 some, 2 unknown.
pub fn verify(flags: VerifyArgs) -> ExitCode {
    match read_all(&flags) {
        Ok(found) => {
            for damage in &found.damage {
                println!("{damage}");
            }
            for remark in &found.remarks {
                eprintln!("{remark}");
            }
            let read = format!("{} files, {}", found.file_count, bytes(found.bytes));
            match found.damage.len() {
                0 => {
                    println!("ok: {read}, no damage");
                    ExitCode::SUCCESS
                }
                count => {
                    println!("DAMAGED: {count} places in {read}");
                    ExitCode::from(DAMAGED)
                }
            }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(UNKNOWN)
        }
    }
}

fn read_all(flags: &VerifyArgs) -> anyhow::Result<Verification> {
    let data_dir = flags.place.config()?.data_dir;
    let folder = match &flags.snapshot {
        Some(given) => snapshot_folder(given, &data_dir)?,
        None => {
            check_data_dir(&data_dir)?;
            data_dir
        }
    };
    let mut bar = Bar::new("verifying");
    let found = storage::verify(&RealDisk, &folder, &mut |next, done, total| {
        bar.show(&next.strip_prefix(&folder).unwrap_or(next).to_string_lossy(), done, total);
    });
    Ok(found?)
}
