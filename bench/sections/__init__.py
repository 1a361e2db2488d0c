"""One file a section of the report: `measure(bench) -> Section`."""
