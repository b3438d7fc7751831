//! The receipt of a slice for the completion of its asset: the parts that it has sent, or the measures of the whole.
//! Only workers read it, and they reject receipts that do not fit together.
use serde::{Deserialize, Serialize};
use storage::hash::Digest;
use storage::{Checksum, ChecksumKind, Part};

/// The receipt of one slice.
#[derive(Debug, Serialize, Deserialize)]
enum Written {
    /// Number, bytes, tag and checksum of each part.
    Parts(Vec<(u32, u64, String, Option<String>)>),
    /// Digests of the whole, and its checksum as the destination computes it.
    Measured(Vec<String>, Option<String>),
}

/// All slices of an asset.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Carried {
    /// All parts, by number.
    pub(super) parts: Vec<Part>,
    /// Measures of the whole, when a slice measured it.
    pub(super) measured: Option<(Vec<Digest>, Option<Checksum>)>,
}

/// The receipt of parts.
pub(super) fn of_parts(parts: &[Part]) -> String {
    let row = |part: &Part| {
        (
            part.number,
            part.bytes,
            part.tag.clone(),
            part.checksum.as_ref().map(spell),
        )
    };
    written(&Written::Parts(parts.iter().map(row).collect()))
}

/// The receipt of measures.
pub(super) fn of_measures(digests: &[Digest], checksum: Option<Checksum>) -> String {
    written(&Written::Measured(
        digests.iter().map(Digest::to_string).collect(),
        checksum.as_ref().map(spell),
    ))
}

fn written(receipt: &Written) -> String {
    // Text and numbers always serialize.
    serde_json::to_string(receipt).unwrap_or_default()
}

fn spell(sum: &Checksum) -> String {
    format!("{}:{}", sum.kind().as_str(), sum.base64())
}

fn read_sum(text: &str) -> Option<Checksum> {
    let (kind, sum) = text.split_once(':')?;
    let kinds = [
        ChecksumKind::Crc64nvme,
        ChecksumKind::Crc32c,
        ChecksumKind::Md5,
    ];
    Checksum::from_base64(kinds.into_iter().find(|known| known.as_str() == kind)?, sum)
}

/// Reads the receipts of all slices of an asset of `bytes` bytes; `None` unless they cover every part exactly once.
pub(super) fn read(receipts: &[String], bytes: u64, part_bytes: u64) -> Option<Carried> {
    let mut carried = Carried::default();
    for receipt in receipts {
        match serde_json::from_str(receipt).ok()? {
            Written::Measured(digests, checksum) => {
                let digests = digests
                    .iter()
                    .map(|text| Digest::parse(text).ok())
                    .collect::<Option<Vec<_>>>()?;
                let checksum = match checksum {
                    Some(text) => Some(read_sum(&text)?),
                    None => None,
                };
                carried.measured = Some((digests, checksum));
            }
            Written::Parts(rows) => {
                for (number, bytes, tag, checksum) in rows {
                    let checksum = match checksum {
                        Some(text) => Some(read_sum(&text)?),
                        None => None,
                    };
                    carried.parts.push(Part {
                        number,
                        bytes,
                        tag,
                        checksum,
                    });
                }
            }
        }
    }
    carried.parts.sort_by_key(|part| part.number);
    let expected = protocol::rules::storage::parts::cut(bytes, part_bytes);
    let mut expected = expected.map(|(number, range)| (number, range.end - range.start));
    let found = carried
        .parts
        .iter()
        .map(|part| Some((part.number, part.bytes)));
    let all = found.chain([None]).all(|found| found == expected.next());
    all.then_some(carried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::model::hash::HashAlgorithm;
    use storage::hash::hash_bytes;

    fn part(number: u32, bytes: u64) -> Part {
        let sum = ChecksumKind::Crc64nvme.of(&[Bytes::from(vec![1; bytes as usize])]);
        Part {
            number,
            bytes,
            tag: format!("\"{number}\""),
            checksum: Some(sum),
        }
    }

    #[test]
    fn receipts_read_back_when_they_are_of_every_part_once() {
        let digest = hash_bytes(HashAlgorithm::Xxh128, b"x");
        let sum = Checksum::Crc32c(7);
        let measured = of_measures(std::slice::from_ref(&digest), Some(sum));
        let (first, second) = (of_parts(&[part(1, 8), part(2, 8)]), of_parts(&[part(3, 4)]));
        let carried =
            read(&[measured.clone(), second.clone(), first.clone()], 20, 8).expect("all of them");
        assert_eq!(carried.parts, [part(1, 8), part(2, 8), part(3, 4)]);
        assert_eq!(carried.measured, Some((vec![digest], Some(sum))));
        let refused = |receipts: &[&String], bytes| {
            let receipts: Vec<String> = receipts.iter().map(|text| (*text).clone()).collect();
            assert_eq!(read(&receipts, bytes, 8), None, "{receipts:?}");
        };
        refused(&[&first], 20);
        refused(&[&second, &measured], 20);
        refused(&[&first, &first, &second], 20);
        refused(&[&first, &second], 21);
        refused(&[&first, &second], 16);
        refused(&[&first, &second, &"{}".into()], 20);
        refused(&[], 20);
    }
}
