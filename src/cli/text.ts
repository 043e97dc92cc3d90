/** Control characters but tab and line feed: from a model or a file, they could drive the terminal. */
// eslint-disable-next-line no-control-regex
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** Text that only shows itself on a terminal. */
export const printable = (text: string): string => text.replace(CONTROL, '\ufffd');

export const oneLine = (text: string): string => printable(text.replaceAll(/\s+/g, ' ').trim());
