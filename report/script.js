// SPDX-License-Identifier: Apache-2.0
// What the page does beyond being read: tables sort, hashes are copied, and nothing is folded on paper.
'use strict';

const element = (tag, attributes, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};

// Header cells that stand over one column, with its index: cells above may span rows and columns.
const columnsOf = head => {
  const taken = new Set(), found = [];
  [...head.rows].forEach((row, y) => {
    let x = 0;
    for (const cell of row.cells) {
      while (taken.has(`${y},${x}`)) x += 1;
      for (let dy = 0; dy < cell.rowSpan; dy += 1)
        for (let dx = 0; dx < cell.colSpan; dx += 1) taken.add(`${y + dy},${x + dx}`);
      if (y + cell.rowSpan === head.rows.length) found.push([cell, x]);
      x += cell.colSpan;
    }
  });
  return found;
};

const without = new Set(['', '–', 'not measured', 'not simulated', 'no clock target']);
const number = text => parseFloat(text.replace(/,/g, ''));

const sort = (table, heading, column) => {
  const down = heading.getAttribute('aria-sort') === 'ascending';
  const rows = [...table.tBodies[0].rows].map(row => [row.cells[column].textContent.trim(), row]);
  const filled = rows.filter(([text]) => !without.has(text));
  const numbers = filled.every(([text]) => /^[-+]?[\d,]*\.?\d+(?![\w.])/.test(text));
  filled.sort(([a], [b]) => (numbers ? number(a) - number(b) : a.localeCompare(b, 'en', { numeric: true })) * (down ? -1 : 1));
  table.tBodies[0].append(...filled.concat(rows.filter(([text]) => without.has(text))).map(([, row]) => row));
  for (const [cell] of columnsOf(table.tHead)) cell.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
};

for (const table of document.querySelectorAll('.scroll table')) {
  if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
  for (const [cell, column] of columnsOf(table.tHead)) {
    const button = element('button', { type: 'button', className: 'sort' }, ...cell.childNodes);
    button.addEventListener('click', () => sort(table, cell, column));
    cell.append(button);
  }
}

const status = document.body.appendChild(element('p', { className: 'spoken', role: 'status' }));

const copy = async code => {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    if (!document.execCommand('copy')) return 'selected: copy by keyboard';
  }
  return 'copied';
};

for (const code of document.querySelectorAll('code.hash')) {
  const button = element('button', { type: 'button', className: 'copy', ariaLabel: `Copy ${code.textContent.slice(0, 8)}…` }, 'copy');
  button.addEventListener('click', async () => {
    button.textContent = status.textContent = await copy(code);
    setTimeout(() => { button.textContent = 'copy'; status.textContent = ''; }, 2000);
  });
  code.after(' ', button);
}

const folded = [];
addEventListener('beforeprint', () => {
  folded.push(...document.querySelectorAll('details:not([open])'));
  for (const details of folded) details.open = true;
});
addEventListener('afterprint', () => {
  for (const details of folded.splice(0)) details.open = false;
});
