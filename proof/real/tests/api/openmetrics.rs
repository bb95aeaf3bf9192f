//! A strict reader of the text format of OpenMetrics 1.0, for tests: whatever the format forbids is
//! an error.

use std::collections::{BTreeMap, BTreeSet};

/// One sample: labels and value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// The whole name, with its suffix.
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// A family of samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) unit: Option<String>,
    pub(crate) help: Option<String>,
    pub(crate) samples: Vec<Sample>,
}

/// Families by name.
pub(crate) type Families = BTreeMap<String, Family>;

/// Reads an exposition.
///
/// # Errors
/// What is wrong with it, with the line.
pub(crate) fn parse(text: &str) -> Result<Families, String> {
    let body = text
        .strip_suffix("# EOF\n")
        .ok_or("it does not end with # EOF")?;
    let mut families = Families::new();
    let mut current = String::new();
    for line in body.split_terminator('\n') {
        let read = match line.strip_prefix("# ") {
            Some(about) => describe(about, &mut families, &mut current),
            None => sample(line).and_then(|sample| take(sample, &mut families, &current)),
        };
        read.map_err(|error| format!("{error}: {line}"))?;
    }
    for (name, family) in &families {
        check(name, family).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(families)
}

/// A line `# TYPE name kind`, or of a unit or a help.
fn describe(about: &str, families: &mut Families, current: &mut String) -> Result<(), String> {
    let mut words = about.splitn(3, ' ');
    let (what, name, rest) = (words.next(), words.next(), words.next());
    let (Some(what), Some(name)) = (what, name) else {
        return Err("half a description".into());
    };
    if !is_name(name) {
        return Err("a name that is none".into());
    }
    if name != current {
        if families.contains_key(name) {
            return Err("a family is there twice".into());
        }
        name.clone_into(current);
    }
    let family = families.entry(name.to_owned()).or_default();
    if !family.samples.is_empty() {
        return Err("a description after the samples".into());
    }
    let rest = rest.unwrap_or_default().to_owned();
    match what {
        "TYPE" if family.kind.is_empty() => family.kind = rest,
        "UNIT" if family.unit.is_none() => family.unit = Some(rest),
        "HELP" if family.help.is_none() => family.help = Some(rest),
        _ => return Err("a description that is unknown, or there twice".into()),
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(is_first) && text.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// A line `name{label="value"} number`.
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err("a name that is none".into());
    }
    let mut labels = BTreeMap::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = read_labels(list, &mut labels)?;
    }
    let value = rest.strip_prefix(' ').ok_or("no space before the value")?;
    let value: f64 = value.parse().map_err(|_| "a value that is no number")?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads labels up to the closing brace; returns what follows.
fn read_labels<'a>(
    mut list: &'a str,
    labels: &mut BTreeMap<String, String>,
) -> Result<&'a str, String> {
    loop {
        let (name, rest) = list.split_once("=\"").ok_or("a label without a value")?;
        if !is_name(name) || name.contains(':') {
            return Err(format!("{name:?} is no name of a label"));
        }
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().ok_or("a value without an end")? {
                (at, '"') => break at,
                (_, '\\') => match chars.next().ok_or("half an escape")?.1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    _ => return Err("an escape that is none".into()),
                },
                (_, c) => value.push(c),
            }
        };
        if labels.insert(name.to_owned(), value).is_some() {
            return Err(format!("the label {name} is there twice"));
        }
        let rest = &rest[end + 1..];
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        list = rest.strip_prefix(',').ok_or("labels without a comma")?;
    }
}

/// Adds a sample to the family that was described last.
fn take(sample: Sample, families: &mut Families, current: &str) -> Result<(), String> {
    let family = families
        .get_mut(current)
        .ok_or("a sample before any description")?;
    let suffix = sample.name.strip_prefix(current);
    let suffix = suffix.ok_or("a sample of another family")?;
    let allowed: &[&str] = match family.kind.as_str() {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_bucket", "_count", "_sum"],
        kind => return Err(format!("the type {kind:?} is none that is used")),
    };
    if !allowed.contains(&suffix) {
        return Err(format!("the suffix {suffix:?} is none of the type's"));
    }
    family.samples.push(sample);
    Ok(())
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.kind.is_empty() || family.help.as_ref().is_none_or(String::is_empty) {
        return Err("without a type or a help".into());
    }
    if let Some(unit) = &family.unit
        && !name.ends_with(&format!("_{unit}"))
    {
        return Err(format!("does not end in its unit {unit}"));
    }
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        let labels: Vec<_> = sample.labels.iter().collect();
        if !seen.insert((&sample.name, labels)) {
            return Err(format!("{sample:?} is there twice"));
        }
        if !sample.value.is_finite() || family.kind != "gauge" && sample.value < 0.0 {
            return Err(format!("{sample:?} has an impossible value"));
        }
    }
    if family.kind == "histogram" {
        check_histogram(name, family)?;
    }
    Ok(())
}

/// Buckets rise, up to one without a bound that has as many as were counted.
fn check_histogram(name: &str, family: &Family) -> Result<(), String> {
    let mut rows = BTreeMap::<_, Vec<&Sample>>::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        rows.entry(labels).or_default().push(sample);
    }
    for (labels, samples) in rows {
        let of = |suffix: &str| {
            let whole = format!("{name}{suffix}");
            let found = samples.iter().filter(move |sample| sample.name == whole);
            found.collect::<Vec<_>>()
        };
        let (count, sum) = (of("_count"), of("_sum"));
        let ([count], [_]) = (&count[..], &sum[..]) else {
            return Err(format!("{labels:?}: not one count and one sum"));
        };
        let mut last = (f64::NEG_INFINITY, 0.0);
        for bucket in of("_bucket") {
            let bound = bucket.labels.get("le").ok_or("a bucket without a bound")?;
            let bound: f64 = match bound.as_str() {
                "+Inf" => f64::INFINITY,
                text => text.parse().map_err(|_| "a bound that is no number")?,
            };
            if bound <= last.0 || bucket.value < last.1 {
                return Err(format!("{labels:?}: buckets do not rise at {bound}"));
            }
            last = (bound, bucket.value);
        }
        if last != (f64::INFINITY, count.value) {
            return Err(format!("{labels:?}: the last bucket is {last:?}"));
        }
    }
    Ok(())
}

/// The sum of the samples that have these labels, of the name as rules use it.
pub(crate) fn sum(families: &Families, name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = families.values().flat_map(|family| &family.samples);
    let is_it = |sample: &&Sample| {
        let has = |(name, value): &(&str, &str)| {
            sample.labels.get(*name).map(String::as_str) == Some(*value)
        };
        sample.name == name && labels.iter().all(has)
    };
    samples.filter(is_it).map(|sample| sample.value).sum()
}

#[test]
fn what_the_format_forbids_is_refused() {
    let head = "# TYPE a counter\n# HELP a Some.\n";
    let good = format!("{head}a_total{{b=\"c\\\"\\n\"}} 1\n# EOF\n");
    let families = parse(&good).expect("it is well-formed");
    assert_eq!(families["a"].samples[0].labels["b"], "c\"\n");
    for bad in [
        head.to_owned(),
        format!("{head}a 1\n# EOF\n"),
        format!("{head}a_total 1\na_total 2\n# EOF\n"),
        format!("{head}a_total -1\n# EOF\n"),
        format!("{head}a_total NaN\n# EOF\n"),
        format!("{head}a_total{{b=\"c\",b=\"d\"}} 1\n# EOF\n"),
        format!("{head}a_total{{b=\"c}} 1\n# EOF\n"),
        format!("{head}{head}# EOF\n"),
        format!("{head}a_total 1\n# TYPE b gauge\n# HELP b X.\nb 1\n# TYPE a counter\n# EOF\n"),
        "a_total 1\n# EOF\n".to_owned(),
        "# TYPE a gauge\n# EOF\n".to_owned(),
        "# TYPE a gauge\n# UNIT a bytes\n# HELP a X.\na 1\n# EOF\n".to_owned(),
        "# TYPE a histogram\n# HELP a X.\na_bucket{le=\"1.0\"} 2\na_bucket{le=\"+Inf\"} 1\n\
         a_count 1\na_sum 1\n# EOF\n"
            .to_owned(),
    ] {
        assert!(parse(&bad).is_err(), "{bad}");
    }
}
