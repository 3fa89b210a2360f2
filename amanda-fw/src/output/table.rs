//! Columns that stand under each other.

/// Blanks between columns.
const GAP: usize = 2;

/// How a column is aligned, and what stands above it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    /// Words.
    Left(&'static str),
    /// Numbers.
    Right(&'static str),
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Left(title) | Self::Right(title) => title,
        }
    }

    fn pad(self, cell: &str, width: usize) -> String {
        match self {
            Self::Left(_) => format!("{cell:<width$}"),
            Self::Right(_) => format!("{cell:>width$}"),
        }
    }
}

/// Writes rows under their titles, every line indented; without any title there is no line of
/// titles.
pub(super) fn table(indent: usize, columns: &[Column], rows: &[Vec<String>]) -> String {
    let titles: Vec<String> = columns.iter().map(|column| column.title().to_owned()).collect();
    let has_titles = titles.iter().any(|title| !title.is_empty());
    let lines: Vec<&Vec<String>> = has_titles.then_some(&titles).into_iter().chain(rows).collect();
    let widths: Vec<usize> = (0..columns.len()).map(|column| width(&lines, column)).collect();
    lines.iter().map(|line| write_line(indent, columns, &widths, line)).collect()
}

fn width(lines: &[&Vec<String>], column: usize) -> usize {
    let cells = lines.iter().filter_map(|line| line.get(column));
    cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn write_line(indent: usize, columns: &[Column], widths: &[usize], cells: &[String]) -> String {
    let padded: Vec<String> = columns
        .iter()
        .zip(widths)
        .zip(cells)
        .map(|((column, &width), cell)| column.pad(cell, width))
        .collect();
    let line = padded.join(&" ".repeat(GAP));
    format!("{}{}\n", " ".repeat(indent), line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &[Column], rows: &[[&str; 2]], expected: &str) {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(table(1, columns, &rows), expected);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        check(
            &[Column::Left("name"), Column::Right("n")],
            &[["a", "1"], ["élan vital", "20"]],
            " name         n\n a            1\n élan vital  20\n",
        );
    }

    #[test]
    fn without_titles_there_is_no_line_for_them() {
        check(&[Column::Left(""), Column::Left("")], &[["a", ""], ["bc", "d"]], " a\n bc  d\n");
    }
}
