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
            "warm": {"way": "read by as many threads as there are cores into touched memory",
                     "seconds": size / cached["median"], "bytes_per_second": cached}}


def summary(names: list[str], samples: list[dict], size: int) -> dict:
    """Each row's figures. A row without a single one has its reason instead."""
    limits = limits_of(samples, size)
    rows = []
    for name in names:
        of_row = [sample for sample in samples if sample["row"] == name]
        errors = [sample["error"] for sample in of_row if "error" in sample]
        if errors or not of_row:
            rows.append({"name": name, "cannot_run": errors[-1] if errors else "not asked for"})
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
    return {"limits": limits, "rows": rows}


def seconds(row: dict, state: str, key: str) -> str:
    if key not in row[state]:
        return "–"
    value = row[state][key]
    text = f"{value['median']:.2f}"
    return text if value["runs"] == 1 else f"{text} ({value['min']:.2f}–{value['max']:.2f})"


def loading(row: dict, state: str) -> str:
    text = seconds(row, state, "load_seconds")
    return text if text == "–" else f"{text}, {row[state]['of_limit']:.2f}"


def markdown(results: dict) -> str:
    limits = results["limits"]
    lines = [
        "| | load cold, of the limit | warm | process to weights cold | warm | to first token cold | warm | "
        "peak of a rank: PSS, VmHWM | tokens/s |",
        "| --- " * 9 + "|",
        f"| limit: {limits['cold']['way']}; cached: 1 pass | {limits['cold']['seconds']:.2f} s | "
        f"{limits['warm']['seconds']:.2f} s | | | | | {results['bytes'] / 1e9:.2f} GB | |"]
    for row in results["rows"]:
        if "cannot_run" in row:
            lines.append(f"| {row['name']} | cannot run here: {row['cannot_run']} |" + " |" * 7)
            continue
        cells = [row["name"], loading(row, "cold"), loading(row, "warm")]
        for key in ("process_seconds", "first_token_seconds"):
            cells += [seconds(row, "cold", key), seconds(row, "warm", key)]
        cells.append(f"{row['pss_bytes'] / 1e9:.2f}, {row['peak_bytes'] / 1e9:.2f} GB")
        rate = row.get("tokens_per_second")
        cells.append(f"{rate['median']:.1f}" if rate else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
