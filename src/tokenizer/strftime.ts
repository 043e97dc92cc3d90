const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

const pad = (value: number, width = 2) => String(value).padStart(width, '0');
const hour12 = (date: Date) => date.getHours() % 12 || 12;
const startOfYear = (date: Date) => Date.UTC(date.getFullYear(), 0, 1);
const dayOfYear = (date: Date) =>
  (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - startOfYear(date)) / 86_400_000 + 1;

/** The week of a date and its year as in ISO 8601, where a week belongs to the year of its Thursday. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7));
  return { year: thursday.getFullYear(), week: Math.ceil(dayOfYear(thursday) / 7) };
}

/** The most characters that a directive becomes; the longest is `%c`. */
export const LONGEST_DIRECTIVE = 32;

const DIRECTIVES: Readonly<Partial<Record<string, (date: Date) => string>>> = {
  a: (date) => DAYS[date.getDay()].slice(0, 3),
  A: (date) => DAYS[date.getDay()],
  b: (date) => MONTHS[date.getMonth()].slice(0, 3),
  B: (date) => MONTHS[date.getMonth()],
  d: (date) => pad(date.getDate()),
  c: (date) => strftime(date, '%a %b %e %H:%M:%S %Y'),
  C: (date) => pad(Math.floor(date.getFullYear() / 100)),
  D: (date) => strftime(date, '%m/%d/%y'),
  e: (date) => String(date.getDate()).padStart(2),
  f: (date) => pad(date.getMilliseconds() * 1000, 6),
  F: (date) => strftime(date, '%Y-%m-%d'),
  G: (date) => String(isoWeek(date).year),
  h: (date) => strftime(date, '%b'),
  H: (date) => pad(date.getHours()),
  I: (date) => pad(hour12(date)),
  j: (date) => pad(dayOfYear(date), 3),
  m: (date) => pad(date.getMonth() + 1),
  M: (date) => pad(date.getMinutes()),
  n: () => '\n',
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  R: (date) => strftime(date, '%H:%M'),
  S: (date) => pad(date.getSeconds()),
  t: () => '\t',
  T: (date) => strftime(date, '%H:%M:%S'),
  u: (date) => String(date.getDay() || 7),
  U: (date) => pad(Math.floor((dayOfYear(date) + 6 - date.getDay()) / 7)),
  V: (date) => pad(isoWeek(date).week),
  w: (date) => String(date.getDay()),
  W: (date) => pad(Math.floor((dayOfYear(date) + 6 - ((date.getDay() + 6) % 7)) / 7)),
  x: (date) => strftime(date, '%m/%d/%y'),
  X: (date) => strftime(date, '%H:%M:%S'),
  y: (date) => pad(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  // `datetime.now()` of Python has no time zone, and so no name for it.
  z: () => '',
  Z: () => '',
  '%': () => '%',
};

/**
 * Python's `datetime.strftime`, in local time and in the C locale, so that a prompt does not depend on the language of the
 * machine. `%-d` leaves out the padding, as in glibc. Unknown directives are kept.
 */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, unpadded: string, directive: string) => {
    const text = DIRECTIVES[directive]?.(date);
    if (text === undefined) return whole;
    return unpadded ? text.replace(/^[0 ]+(?=.)/, '') : text;
  });
}
