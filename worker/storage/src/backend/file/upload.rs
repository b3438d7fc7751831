//! Uploads in parts to a directory: a hidden file that parts are written into at their places, published in one step.
use super::FileStorage;
use super::blocking::errno;
use super::content::{check_back, sum_of, write_pieces};
use super::error_map::{directory_error, io_error};
use super::hidden_names::Names;
use super::ledger::{KIND, PARTS_MAX, Record, records};
use super::part_writer::LocalPartWriter;
use super::put::publish;
use crate::partial::UPLOAD_SUFFIX as CONTENT;
use crate::{
    Body, Checksum, Directory, ObjectState, Part, Partial, Precondition, Slot, StorageError,
    Upload, file_location,
};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::File;
use std::sync::Arc;

impl FileStorage {
    /// Begins an upload with this id, or with another one when it is taken.
    pub(super) fn begin_now(&self, key: &str, id: Option<String>) -> Result<Upload, StorageError> {
        let (directory, name) = self.find(key, true)?;
        let failed = |errno| {
            io_error(
                &self.at(key),
                "create the hidden files of an upload to",
                errno,
            )
        };
        let random = || format!("{:016x}", fastrand::u64(..));
        let mut id = id.unwrap_or_else(random);
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = |hidden: &str| openat(&directory, hidden, flags, Mode::from_raw_mode(0o666));
        if let Err(Errno::EXIST) = create(&Names::of(&name, &id).ledger) {
            id = random();
            create(&Names::of(&name, &id).ledger).map_err(failed)?;
        }
        create(&Names::of(&name, &id).content).map_err(failed)?;
        Ok(Upload {
            key: key.to_owned(),
            id,
        })
    }

    pub(super) fn content_now(&self, upload: &Upload) -> Result<File, StorageError> {
        self.hidden(upload).map(|(content, _)| content)
    }

    pub(super) fn part_writer_now(&self, upload: &Upload) -> Result<LocalPartWriter, StorageError> {
        let (content, ledger) = self.hidden(upload)?;
        Ok(LocalPartWriter::new(
            self.at(&upload.key),
            content,
            ledger,
            self.durability,
        ))
    }

    pub(super) fn put_part_now(
        &self,
        upload: &Upload,
        slot: Slot,
        body: &Body,
    ) -> Result<Part, StorageError> {
        let location = self.at(&upload.key);
        if slot.number == 0 || slot.number > PARTS_MAX {
            return Err(StorageError::invalid(
                location,
                format!("part {} of at most {PARTS_MAX}", slot.number),
            ));
        }
        let (content, ledger) = self.hidden(upload)?;
        write_pieces(&content, slot.offset, body)
            .map_err(|errno| io_error(&location, "write", errno))?;
        check_back(
            &location,
            &content,
            slot.offset,
            body.bytes(),
            body.checksum(),
        )?;
        let sum = match body.checksum() {
            Checksum::Crc64nvme(sum) => sum,
            _ => match sum_of(&content, slot.offset, body.bytes(), KIND) {
                Ok(Checksum::Crc64nvme(sum)) => sum,
                Ok(other) => {
                    return Err(StorageError::invalid(
                        location,
                        format!("{other} cannot be recorded"),
                    ));
                }
                Err(errno) => return Err(io_error(&location, "read back", errno)),
            },
        };
        let record = Record::new(slot, body.bytes(), sum);
        record
            .write(&ledger)
            .map_err(|errno| io_error(&location, "note a part of", errno))?;
        Ok(record.part())
    }

    /// Parts whose content matches the ledger: after a power loss a record may exist without its content.
    pub(super) fn parts_now(&self, upload: &Upload) -> Result<Vec<Part>, StorageError> {
        let (content, _) = self.hidden(upload)?;
        let records = self.recorded(upload)?.into_iter();
        let sound = records.filter(|r| {
            sum_of(&content, r.offset, r.bytes, KIND).is_ok_and(|sum| sum == r.checksum())
        });
        Ok(sound.map(|record| record.part()).collect())
    }

    pub(super) fn complete_now(
        &self,
        upload: &Upload,
        parts: &[Part],
        whole: Option<Checksum>,
        precondition: &Precondition,
    ) -> Result<ObjectState, StorageError> {
        let location = self.at(&upload.key);
        let (content, _) = self.hidden(upload)?;
        let recorded = self.recorded(upload)?;
        let mut end = 0;
        for part in parts {
            let record = recorded.iter().find(|record| record.part() == *part);
            match record {
                Some(record) if record.offset == end => end += record.bytes,
                Some(_) => {
                    return Err(StorageError::invalid(
                        location,
                        format!("part {} lies elsewhere", part.number),
                    ));
                }
                None => {
                    return Err(StorageError::invalid(
                        location,
                        format!("part {} has not arrived", part.number),
                    ));
                }
            }
        }
        let size = content
            .metadata()
            .map_err(|error| io_error(&location, "look at", errno(&error)))?
            .len();
        if size < end {
            return Err(StorageError::corrupt(
                location,
                format!("{size} bytes are there, {end} were written"),
            ));
        }
        // A part that was sent again in a shorter form must leave nothing behind it.
        content
            .set_len(end)
            .map_err(|error| io_error(&location, "cut", errno(&error)))?;
        // Putting their checksums together costs more than the rest of this.
        if let Some(whole) = whole.filter(|whole| whole.kind() == KIND)
            && let found = Part::whole(parts).unwrap_or_else(|| KIND.of(&[]))
            && whole != found
        {
            return Err(StorageError::corrupt(
                location,
                format!("its parts make {found}, the whole is another"),
            ));
        }
        self.sync(|| rustix::fs::fdatasync(&content))
            .map_err(|errno| io_error(&location, "sync", errno))?;
        let (directory, name) = self.find(&upload.key, false)?;
        let names = Names::of(&name, &upload.id);
        let partial = Partial::adopt(content, &directory, names.content.clone().into());
        publish(&location, partial, &name, precondition)?;
        self.sync(|| rustix::fs::fsync(&directory))
            .map_err(|errno| io_error(&location, "sync the directory of", errno))?;
        for hidden in [&names.content, &names.ledger] {
            remove(&directory, hidden)
                .map_err(|errno| io_error(&location, "remove the hidden files of", errno))?;
        }
        self.stat_now(&upload.key)
    }

    pub(super) fn abort_now(&self, upload: &Upload) -> Result<(), StorageError> {
        let (directory, name) = match self.find(&upload.key, false) {
            Err(StorageError::NotFound(_)) => return Ok(()),
            other => other?,
        };
        let names = Names::of(&name, &upload.id);
        for hidden in [&names.content, &names.ledger] {
            remove(&directory, hidden).map_err(|errno| {
                io_error(&self.at(&upload.key), "remove the hidden files of", errno)
            })?;
        }
        Ok(())
    }

    pub(super) fn uploads_now(&self, prefix: &str) -> Result<Vec<Upload>, StorageError> {
        let Some(mut walk) = self.walk(prefix, |_| true)? else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        while let Some(file) = walk.next().map_err(|error| directory_error(&error))? {
            let (parent, hidden) = file.key.rsplit_once('/').unwrap_or(("", &file.key));
            let named = hidden
                .strip_prefix('.')
                .and_then(|name| name.strip_suffix(CONTENT));
            let Some((name, id)) = named.and_then(|name| name.rsplit_once('.')) else {
                continue;
            };
            let key = if parent.is_empty() {
                name.to_owned()
            } else {
                format!("{parent}/{name}")
            };
            if key.starts_with(prefix) {
                found.push(Upload {
                    key,
                    id: id.to_owned(),
                });
            }
        }
        Ok(found)
    }

    fn recorded(&self, upload: &Upload) -> Result<Vec<Record>, StorageError> {
        let (_, ledger) = self.hidden(upload)?;
        records(&ledger).map_err(|error| {
            io_error(
                &self.at(&upload.key),
                "read the upload ledger of",
                errno(&error),
            )
        })
    }

    /// Opens the content and the ledger of an upload.
    fn hidden(&self, upload: &Upload) -> Result<(File, File), StorageError> {
        let gone = || StorageError::UploadGone(self.at(&upload.key));
        if upload.id.len() != 16 || !upload.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(gone());
        }
        let (directory, name) = match self.find(&upload.key, false) {
            Err(StorageError::NotFound(_)) => return Err(gone()),
            other => other?,
        };
        let names = Names::of(&name, &upload.id);
        let open = |hidden: &str| match open_writable(&directory, hidden) {
            Err(Errno::NOENT) => Err(gone()),
            Err(errno) => Err(io_error(
                &file_location(&directory.path().join(hidden)),
                "open",
                errno,
            )),
            Ok(file) => Ok(file),
        };
        Ok((open(&names.content)?, open(&names.ledger)?))
    }
}

fn open_writable(directory: &Arc<Directory>, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::empty()).map(File::from)
}

fn remove(directory: &Directory, name: &str) -> Result<(), Errno> {
    directory.remove(name.as_ref())
}
