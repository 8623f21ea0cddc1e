"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const value = (row, column) => {
    const text = row.children[column].dataset.value;
    return text === undefined ? null : isNaN(Number(text)) || text === "" ? text : Number(text);
  };

  const sort = (head) => {
    const table = head.closest("table"), column = [...head.parentNode.children].indexOf(head);
    const up = head.getAttribute("aria-sort") === "descending" || (head.getAttribute("aria-sort") !== "ascending" && head.dataset.first === "ascending");
    all("th[aria-sort]", table).forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = table.tBodies[0];
    [...body.rows]
      .map((row, place) => [value(row, column), place, row])
      .sort(([a, i], [b, j]) => {
        if (a === null || b === null) return (a === null) - (b === null) || i - j; // n/a stays at the end
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return (up ? order : -order) || i - j;
      })
      .forEach(([, , row]) => body.append(row));
    say(`sorted by ${head.textContent.trim()}, ${up ? "ascending" : "descending"}`);
  };

  const status = document.getElementById("status");
  const say = (text) => { status.textContent = text; };

  const strategy = document.getElementById("strategy"), stream = document.getElementById("stream");
  const filter = () => {
    const wanted = strategy.value.trim().toLowerCase();
    let shown = 0, rows = 0;
    all("section.group").forEach((section) => {
      section.hidden = stream.value !== "" && section.id !== stream.value;
      all("[data-strategy]", section).forEach((item) => {
        item.hidden = !item.dataset.strategy.toLowerCase().includes(wanted);
        if (item.matches("table.board tr")) { rows += 1; shown += !item.hidden && !section.hidden; }
      });
    });
    say(`${shown} of ${rows} rows shown`);
  };

  all("th button").forEach((button) => button.addEventListener("click", () => sort(button.closest("th"))));
  strategy.addEventListener("input", filter);
  stream.addEventListener("change", filter);
  document.querySelector(".controls").hidden = false;
})();
