/** The scripts of Unicode 9, as in the Rust crate `tokenizers`, where later scripts are none. */
const SCRIPTS =
  'Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo ' +
  'Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Common Coptic ' +
  'Cuneiform Cypriot Cyrillic Deseret Devanagari Duployan Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic ' +
  'Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran Hebrew Imperial_Aramaic Inherited ' +
  'Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li Kharoshthi Khmer Khojki Khudawadi Lao ' +
  'Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean Marchen Meetei_Mayek ' +
  'Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean New_Tai_Lue ' +
  'Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_South_Arabian ' +
  'Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic ' +
  'Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng Sundanese Syloti_Nagri Syriac Tagalog ' +
  'Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Ugaritic Vai ' +
  'Warang_Citi Yi';

/** Spaces and characters without a script belong to the script before them. */
const ANY = -1;
const byCharacter = new Map<string, number>([[' ', ANY]]);
let scripts: readonly RegExp[] | undefined;

/** The index of a character's script. Japanese kana count as Han, as in SentencePiece. */
function scriptOf(char: string): number {
  let script = byCharacter.get(char);
  if (script === undefined) {
    scripts ??= SCRIPTS.split(' ').map((name) =>
      name === 'Han'
        ? /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u30fc]/u
        : new RegExp(`\\p{Script=${name}}`, 'u'),
    );
    const han = scripts.findIndex((each) => each.test('一'));
    script = scripts[han].test(char) ? han : scripts.findIndex((each) => each.test(char));
    byCharacter.set(char, script);
  }
  return script;
}

/** Splits where the script changes. As in the crate, text before the first character with a script is dropped. */
export function splitByScript(text: string): string[] {
  const starts: number[] = [];
  let last: number | undefined;
  let at = 0;
  for (const char of text) {
    const script = scriptOf(char);
    if (script !== ANY && script !== last) {
      starts.push(at);
      last = script;
    }
    at += char.length;
  }
  const pieces = starts.map((start, i) => text.slice(start, starts[i + 1]));
  return starts[0] === 0 ? pieces : ['', ...pieces];
}
