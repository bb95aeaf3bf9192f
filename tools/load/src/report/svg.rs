//! Plots as SVG: lines over a logarithmic axis, and bars. Text and lines take the colours of a
//! light or dark page.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 180.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 54.0;

/// Colours that are visible on white and on near black.
const COLOURS: [&str; 8] = [
    "#0a84d6", "#d9730d", "#2e9e5b", "#c7445a", "#8a63d2", "#8c8c8c", "#b8860b", "#1a9fa8",
];

/// A line's name, and its points.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Labels of a plot; units belong into them.
pub(super) struct Labels<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
}

/// Lines over marked places on x, with powers of ten on y.
///
/// Values that are not positive have no place on the axis and are left out.
pub(super) fn lines(labels: &Labels<'_>, marks: &[(f64, String)], lines: &[Line]) -> String {
    let values = lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
    let (low, high) = decades(values);
    let (first, last) = match marks {
        [] => (0.0, 1.0),
        [(only, _)] => (only - 0.5, only + 0.5),
        [(first, _), .., (last, _)] => (*first, *last),
    };
    let x =
        |value: f64| LEFT + 20.0 + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT - 40.0);
    let y = |value: f64| {
        let part = (value.log10() - f64::from(low)) / f64::from(high - low);
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    };
    let mut out = head(labels, HEIGHT);
    for power in low..=high {
        let (at, value) = (y(10_f64.powi(power)), 10_f64.powi(power));
        let _ = writeln!(
            out,
            r#"<path class="grid" d="M{LEFT} {at:.1}H{:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0
        );
    }
    for (place, name) in marks {
        let _ = writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            x(*place),
            HEIGHT - BOTTOM + 18.0,
            escape(name)
        );
    }
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points = line.points.iter().filter(|(_, value)| *value > 0.0);
        let points: Vec<(f64, f64)> = points.map(|(at, value)| (x(*at), y(*value))).collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            out,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            path.join(" ")
        );
        for (x, y) in &points {
            let _ = writeln!(
                out,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>"#
            );
        }
        let at = TOP + 8.0 + 20.0 * number as f64;
        let _ = writeln!(
            out,
            r#"<rect x="{:.1}" y="{:.1}" width="14" height="4" fill="{colour}"/><text x="{:.1}" y="{:.1}">{}</text>"#,
            WIDTH - RIGHT + 12.0,
            at - 6.0,
            WIDTH - RIGHT + 32.0,
            at,
            escape(&line.name)
        );
    }
    out + "</svg>\n"
}

/// Bars from the left, each with its value; the axis begins at 0.
pub(super) fn bars(labels: &Labels<'_>, bars: &[(String, f64)]) -> String {
    const STEP: f64 = 34.0;
    let height = TOP + BOTTOM + STEP * bars.len() as f64;
    let left = 190.0;
    let largest = bars.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let mut out = head(labels, height);
    for (number, (name, value)) in bars.iter().enumerate() {
        let top = TOP + STEP * number as f64;
        let long = value.max(0.0) / largest * (WIDTH - left - 100.0);
        let colour = COLOURS[number % COLOURS.len()];
        let _ = writeln!(
            out,
            r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><rect x="{left}" y="{:.1}" width="{long:.1}" height="20" fill="{colour}"/><text x="{:.1}" y="{:.1}">{value:.0}</text>"#,
            left - 8.0,
            top + 19.0,
            escape(name),
            top + 4.0,
            left + long + 8.0,
            top + 19.0
        );
    }
    out + "</svg>\n"
}

/// Powers of ten below and above all positive values, at least one apart.
fn decades(values: impl Iterator<Item = f64>) -> (i32, i32) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| *value > 0.0) {
        low = low.min(value.log10().floor());
        high = high.max(value.log10().ceil());
    }
    if low > high {
        return (0, 1);
    }
    (low as i32, (high as i32).max(low as i32 + 1))
}

fn head(labels: &Labels<'_>, height: f64) -> String {
    let middle = (TOP + height - BOTTOM) / 2.0;
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #1f2328 }}
.title {{ font-size: 15px; font-weight: 600 }}
.grid {{ stroke: #d0d7de; stroke-width: 1; fill: none }}
.page {{ fill: #ffffff }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .grid {{ stroke: #3d444d }} .page {{ fill: #0d1117 }} }}
</style>
<rect class="page" width="100%" height="100%"/>
<text class="title" x="16" y="22">{title}</text>
<text x="{x:.1}" y="{below:.1}" text-anchor="middle">{x_label}</text>
<text transform="translate(16 {middle:.1}) rotate(-90)" text-anchor="middle">{y_label}</text>
"##,
        title = escape(labels.title),
        x = (LEFT + WIDTH - RIGHT) / 2.0,
        below = height - 12.0,
        x_label = escape(labels.x),
        y_label = escape(labels.y),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels<'_> = Labels {
        title: "A & B",
        x: "members",
        y: "µs",
    };

    #[test]
    fn decades_hold_all_positive_values() {
        assert_eq!(decades([0.2, 35.0, 0.0].into_iter()), (-1, 2));
        assert_eq!(decades([10.0].into_iter()), (1, 2));
        assert_eq!(decades(std::iter::empty()), (0, 1));
    }

    #[test]
    fn points_stand_where_their_values_are() {
        let marks = [(0.0, "1".to_owned()), (1.0, "2".to_owned())];
        let line = Line {
            name: "a<b".into(),
            points: vec![(0.0, 1.0), (1.0, 10.0), (1.0, 0.0)],
        };
        let svg = lines(&LABELS, &marks, &[line]);
        // From the bottom left to the top right; zero has no place.
        assert!(svg.contains(r#"points="90.0,346.0 520.0,40.0""#), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("a&lt;b") && svg.contains("A &amp; B"));
        assert!(svg.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn the_longest_bar_is_the_largest_value() {
        let svg = bars(&LABELS, &[("a".into(), 50.0), ("b".into(), 100.0)]);
        assert!(
            svg.contains(r#"width="215.0""#) && svg.contains(r#"width="430.0""#),
            "{svg}"
        );
    }
}
