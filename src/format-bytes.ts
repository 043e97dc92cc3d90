/** A number of bytes for people: `214 kB`, `1.07 GB`. Units are decimal, as for disks and downloads. */
export function formatBytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(0)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Parses a size such as `8GB`, `1.5 GiB` or `4000000` (bytes); gives undefined for other texts, and for 0. */
export function parseBytes(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) ?((?:[kmgt]i?b)?)$/i.exec(text.trim());
  if (parts === null) return undefined;
  const bytes = Math.floor(Number(parts[1]) * UNITS[parts[2].toLowerCase()]);
  return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}
