import type { Report } from '../run/report.ts';
import { casesOf, formatTime, titleOf } from './columns.ts';

const WIDTH = 900;
const LEFT = 180;
const RIGHT = 240;
const LINE = 24;
const COLOURS: Readonly<Record<string, string>> = { FASTER: '#2e7d32', SLOWER: '#c62828', UNTRUSTED: '#f9a825' };

/** The report as a bar chart of the times, with their intervals as thin lines; each case has its own scale. */
export function toSvg(report: Report): string {
  const shapes: string[] = [];
  let y = LINE;
  for (const rows of casesOf(report)) {
    shapes.push(text(8, y, titleOf(rows[0]), 'font-weight="bold"'));
    y += LINE;
    const longest = Math.max(...rows.map(({ seconds }) => seconds?.high ?? 0));
    const at = (seconds: number): number => LEFT + ((WIDTH - LEFT - RIGHT) * seconds) / longest;
    for (const { variant, verdict, seconds } of rows) {
      shapes.push(text(8, y, variant));
      if (seconds === undefined) shapes.push(text(LEFT, y, verdict, 'fill="#c62828"'));
      else {
        const { median, low, high } = seconds;
        const colour = COLOURS[verdict] ?? '#546e7a';
        shapes.push(
          `<rect x="${LEFT}" y="${y - 12}" width="${(at(median) - LEFT).toFixed(1)}" height="14" fill="${colour}"/>`,
          `<path d="M${at(low).toFixed(1)} ${y - 5}H${at(high).toFixed(1)}" stroke="#000" stroke-width="2"/>`,
          text(at(high) + 8, y, `${formatTime(seconds)} ${verdict}`),
        );
      }
      y += LINE;
    }
    y += LINE / 2;
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" font-family="sans-serif" font-size="12">\n` +
    `<rect width="100%" height="100%" fill="#fff"/>\n${shapes.join('\n')}\n</svg>\n`
  );
}

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped(content)}</text>`;

const escaped = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
