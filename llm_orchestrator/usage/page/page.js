"use strict";

for (const place of document.querySelectorAll(".chart")) {
  const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, figure.data, figure.layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

// A click on a heading sorts by that column, a second one the other way round.
function sort(heading) {
  const row = heading.parentElement;
  const place = [...row.children].indexOf(heading);
  const body = row.closest("table").tBodies[0];
  const ascending = heading.getAttribute("aria-sort") === "descending";
  const isNumber = body.rows[0].cells[place].classList.contains("number");
  const valueOf = (line) => line.cells[place].dataset.value;
  const compare = isNumber
    ? (one, other) => Number(valueOf(one)) - Number(valueOf(other))
    : (one, other) => valueOf(one).localeCompare(valueOf(other));
  const lines = [...body.rows].sort(compare);
  body.append(...(ascending ? lines : lines.reverse()));
  for (const other of row.children) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
}

for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => sort(button.parentElement));
}
