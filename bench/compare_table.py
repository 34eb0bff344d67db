"""Samples of compare.py as medians beside the limits, and as a table in Markdown."""

import statistics

TIMED = ("load_seconds", "process_seconds", "first_token_seconds")


def spread(values: list[float]) -> dict:
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "runs": len(values)}


def limits_of(samples: list[dict], size: int) -> dict:
    """Seconds that reading the checkpoint takes: by fio's best way, and from the page cache."""
    of_limits = [sample for sample in samples if sample["row"] == "limits"]
    rates = {way: spread([sample["fio"][way] for sample in of_limits])
             for way in of_limits[0]["fio"]}
    best = max(rates, key=lambda way: rates[way]["median"])
    cached = spread([sample["cached"] for sample in of_limits])
    return {"cold": {"way": f"fio, {best}", "seconds": size / rates[best]["median"],
                     "bytes_per_second": rates},
            "warm": {"way": "all cores read into touched memory",
                     "seconds": size / cached["median"], "bytes_per_second": cached}}


def summary(names: list[str], samples: list[dict], size: int) -> dict:
    """Each row's figures. A row that failed has its reason instead."""
    limits = limits_of(samples, size)
    rows = []
    for name in names:
        of_row = [sample for sample in samples if sample["row"] == name]
        errors = [sample["error"] for sample in of_row if "error" in sample]
        if errors:
            rows.append({"name": name, "cannot_run": errors[-1]})
            continue
        row: dict = {"name": name}
        timed = [sample for sample in of_row if sample["round"] > 0]
        for state in ("cold", "warm"):
            of_state = [sample for sample in timed if sample["cold"] == (state == "cold")]
            row[state] = {key: spread([sample[key] for sample in of_state])
                          for key in TIMED if of_state and key in of_state[0]}
            if of_state:
                row[state]["of_limit"] = (row[state]["load_seconds"]["median"] /
                                          limits[state]["seconds"])
        rates = [sample["tokens_per_second"] for sample in timed if "tokens_per_second" in sample]
        if rates:
            row["tokens_per_second"] = spread(rates)
        row["peak_bytes"] = max(sample["peak_bytes"] for sample in of_row)
        for key in ("pss_bytes", "pss_bytes_of_all", "checksum", "first_token"):
            values = [sample[key] for sample in of_row if key in sample]
            if values:
                row[key] = max(values)
        rows.append(row)
    checksums = {row["checksum"] for row in rows if "checksum" in row}
    if len(checksums) > 1:
        raise SystemExit("not all peers have loaded the same weights: " +
                         ", ".join(f"{row['name']} {row['checksum']}" for row in rows
                                   if "checksum" in row))
    tokens = {row["first_token"] for row in rows if "first_token" in row and
              "llm.int8" not in row["name"]}
    disturbed = sum("disturbed" in sample for sample in samples)
    return {"same_first_token": len(tokens) == 1, "disturbed_runs": disturbed, "limits": limits,
            "rows": rows}


def markdown(results: dict) -> str:
    """Medians, and then all figures with their least and most."""
    return short_table(results) + "\n" + full_table(results)


def table(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def median(row: dict, state: str, key: str, form: str) -> str:
    return format(row[state][key]["median"], form) if key in row[state] else "–"


def rate(row: dict) -> str:
    return f"{row['tokens_per_second']['median']:.1f}" if "tokens_per_second" in row else "–"


def short_table(results: dict) -> str:
    limits = results["limits"]
    lines = [[f"limit: {limits['cold']['way']}; cached: {limits['warm']['way']}",
              f"{limits['cold']['seconds']:.2f} s",
              f"{limits['warm']['seconds']:.2f} s", "", f"{results['bytes'] / 1e9:.2f} GB", ""]]
    for row in results["rows"]:
        if "cannot_run" in row:
            lines.append([row["name"], "cannot run here: " + row["cannot_run"], "", "", "", ""])
            continue
        cells = [row["name"]]
        for state in ("cold", "warm"):
            text = median(row, state, "load_seconds", ".2f")
            cells.append(text if text == "–" else f"{text} s, {row[state]['of_limit']:.1f}")
        cells.append(" / ".join(median(row, state, "first_token_seconds", ".1f")
                                for state in ("cold", "warm")) + " s")
        lines.append([*cells, f"{row['pss_bytes'] / 1e9:.2f} GB", rate(row)])
    return table(["", "load, of the limit", "from cached files", "to the first token, cold / cached",
                  "peak of a rank", "tokens/s"], lines)


def spread_text(row: dict, state: str, key: str) -> str:
    if key not in row[state]:
        return "–"
    value = row[state][key]
    return f"{value['median']:.2f} ({value['min']:.2f}–{value['max']:.2f})"


def full_table(results: dict) -> str:
    lines = []
    for row in results["rows"]:
        if "cannot_run" in row:
            continue
        cells = [row["name"]]
        for key in TIMED:
            cells += [spread_text(row, "cold", key), spread_text(row, "warm", key)]
        lines.append([*cells, f"{row['pss_bytes'] / 1e9:.2f}", f"{row['peak_bytes'] / 1e9:.2f}",
                      f"{row['pss_bytes_of_all'] / 1e9:.2f}", rate(row)])
    return table(["median (least–most), s", "load, cold", "warm", "process to weights, cold", "warm",
                  "to the first token, cold", "warm", "peak PSS of a rank, GB",
                  "VmHWM until loaded, GB", "PSS of all, GB", "tokens/s"], lines)
