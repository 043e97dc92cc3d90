// Pictures for the examples, by Vega-Lite: SVG files that a browser opens.
import { writeFile } from 'node:fs/promises';
import { parse, View } from 'vega';
import { compile } from 'vega-lite';

/**
 * Writes a heat map.
 *
 * @param {string} file
 * @param {{ values: ArrayLike<number>, rows: readonly string[], columns: readonly string[], title: string, row: string,
 *   column: string }} grid Row-major values; the names of its axes.
 */
export async function writeHeatMap(file, { values, rows, columns, title, row, column }) {
  const cells = Array.from(values, (value, i) => ({
    value,
    row: Math.floor(i / columns.length),
    column: i % columns.length,
  }));
  const largest = Math.max(...cells.map(({ value }) => Math.abs(value)));
  /** @param {readonly string[]} names */
  const axis = (names) => ({ labelExpr: `${JSON.stringify(names)}[datum.value]`, labelOverlap: true });
  const { spec } = compile({
    title,
    data: { values: cells },
    mark: 'rect',
    width: { step: 28 },
    height: { step: 12 },
    encoding: {
      x: { field: 'column', type: 'ordinal', title: column, axis: axis(columns) },
      y: { field: 'row', type: 'ordinal', title: row, axis: axis(rows), sort: 'descending' },
      color: {
        field: 'value',
        type: 'quantitative',
        title: null,
        scale: { scheme: 'blueorange', domain: [-largest, largest] },
      },
    },
  });
  await writeFile(file, await new View(parse(spec), { renderer: 'none' }).toSVG());
  console.log(`${file} shows it`);
}
