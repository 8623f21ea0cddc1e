"""Markdown tables of reports read back."""


def cells(text: str) -> dict[str, dict[str, str]]:
    """Strategy -> column -> cell of a text with one Markdown table."""
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    head, _, *body = rows
    return {row[0]: dict(zip(head, row, strict=True)) for row in body}
