//! Names of codecs, wrappers and colours: theirs to ours. A word that is not here is not guessed at.

/// `AVC-Intra 100` and `avc_intra_100` are one word.
pub(super) fn plain(word: &str) -> String {
    let mut out = String::new();
    for c in word.trim().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.trim_end_matches('_').to_owned()
}

/// The codec as ffprobe names it, and the profiles that are meant; none means any.
pub(super) fn picture_codec(word: &str) -> Option<(&'static str, &'static [&'static str])> {
    Some(match plain(word).as_str() {
        "xdcam_hd_422_50" | "xdcam_hd_422" | "xdcam_hd422" | "xdcam_hd422_50" => {
            ("mpeg2video", &["4:2:2"])
        }
        "mpeg2" | "mpeg_2" | "mpeg2video" => ("mpeg2video", &[]),
        "prores" | "apple_prores" => ("prores", &[]),
        "prores_422_proxy" => ("prores", &["Proxy"]),
        "prores_422_lt" => ("prores", &["LT"]),
        "prores_422" | "apple_prores_422" => ("prores", &["Standard"]),
        "prores_422_hq" | "apple_prores_422_hq" => ("prores", &["HQ"]),
        "prores_4444" => ("prores", &["4444"]),
        "prores_4444_xq" => ("prores", &["XQ"]),
        "dnxhd" => ("dnxhd", &["DNXHD"]),
        "dnxhr_hq" => ("dnxhd", &["DNXHR HQ"]),
        "dnxhr_hqx" => ("dnxhd", &["DNXHR HQX"]),
        "dnxhr_444" => ("dnxhd", &["DNXHR 444"]),
        "avc_intra_50" | "avc_intra_class_50" => ("h264", &["High 10 Intra"]),
        "avc_intra_100" | "avc_intra_class_100" => ("h264", &["High 4:2:2 Intra"]),
        "avc_intra" => ("h264", &["High 10 Intra", "High 4:2:2 Intra"]),
        "h264" | "h_264" | "avc" => ("h264", &[]),
        "h265" | "h_265" | "hevc" => ("hevc", &[]),
        "jpeg2000" | "jpeg_2000" => ("jpeg2000", &[]),
        "vp9" => ("vp9", &[]),
        "av1" => ("av1", &[]),
        "ffv1" => ("ffv1", &[]),
        _ => return None,
    })
}

/// Sound codecs as ffprobe names them, with their bits where they have any.
pub(super) fn sound_codecs(word: &str) -> Option<&'static [(&'static str, Option<u32>)]> {
    const PCM: &[(&str, Option<u32>)] = &[
        ("pcm_s16le", Some(16)),
        ("pcm_s16be", Some(16)),
        ("pcm_s24le", Some(24)),
        ("pcm_s24be", Some(24)),
        ("pcm_s32le", Some(32)),
        ("pcm_s32be", Some(32)),
    ];
    Some(match plain(word).as_str() {
        "linear_pcm" | "lpcm" | "pcm" => PCM,
        "pcm_s16le" => &PCM[..1],
        "pcm_s16be" => &PCM[1..2],
        "pcm_s24le" => &PCM[2..3],
        "pcm_s24be" => &PCM[3..4],
        "pcm_s32le" => &PCM[4..5],
        "pcm_s32be" => &PCM[5..],
        "aac" => &[("aac", None)],
        "ac3" | "dolby_digital" => &[("ac3", None)],
        "eac3" | "dolby_digital_plus" => &[("eac3", None)],
        "mp3" => &[("mp3", None)],
        "dolby_e" => &[("dolby_e", None)],
        "flac" => &[("flac", None)],
        "opus" => &[("opus", None)],
        _ => return None,
    })
}

/// The wrapper as `container` names it, and whether it must be of operational pattern 1a.
pub(super) fn container(word: &str) -> Option<(&'static str, bool)> {
    Some(match plain(word).as_str() {
        "mxf" => ("mxf", false),
        "mxf_op1a" | "mxf_op_1a" | "op1a" => ("mxf", true),
        "mov" | "quicktime" => ("mov", false),
        "mp4" => ("mp4", false),
        "mkv" | "matroska" => ("matroska", false),
        "webm" => ("webm", false),
        "wav" | "bwf" => ("wav", false),
        _ => return None,
    })
}

/// Layouts as ffprobe names them.
pub(super) fn layout(word: &str) -> Option<&'static [&'static str]> {
    Some(match plain(word).as_str() {
        "l_r" | "stereo" | "2_0" => &["stereo"],
        "l_r_c_lfe_ls_rs" | "5_1" => &["5.1", "5.1(side)"],
        "m1_m2" | "dual_mono" | "mono" => &["mono"],
        _ => return None,
    })
}

/// Primaries as ffprobe names them.
pub(super) fn primaries(word: &str) -> Option<&'static [&'static str]> {
    Some(match plain(word).as_str() {
        "bt709" => &["bt709"],
        "bt2020" => &["bt2020"],
        "bt601_625" | "bt470bg" => &["bt470bg"],
        "bt601_525" | "smpte170m" => &["smpte170m"],
        "p3_d65" | "p3d65" => &["smpte432"],
        _ => return None,
    })
}

/// Transfer characteristics as ffprobe names them.
pub(super) fn transfer(word: &str) -> Option<&'static [&'static str]> {
    Some(match plain(word).as_str() {
        "bt709" => &["bt709"],
        "hlg" | "arib_std_b67" => &["arib-std-b67"],
        "pq" | "st2084" | "st_2084" | "smpte2084" | "smpte_st_2084" => &["smpte2084"],
        "bt2020" => &["bt2020-10", "bt2020-12"],
        "smpte170m" | "bt601" => &["smpte170m"],
        _ => return None,
    })
}

/// Matrices as ffprobe names them.
pub(super) fn matrix(word: &str) -> Option<&'static [&'static str]> {
    Some(match plain(word).as_str() {
        "bt709" => &["bt709"],
        "bt2020_ncl" | "bt2020nc" | "bt2020" => &["bt2020nc"],
        "bt2020_cl" | "bt2020c" => &["bt2020c"],
        "bt601" => &["smpte170m", "bt470bg"],
        "smpte170m" => &["smpte170m"],
        "bt470bg" => &["bt470bg"],
        _ => return None,
    })
}
