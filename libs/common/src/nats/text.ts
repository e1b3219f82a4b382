/** Text as the bytes of a message, and back. Every message goes through here, so it is done in the way that costs least. */
const decoder = new TextDecoder('utf-8', { fatal: true });

/** The text in UTF-8. Small ones share memory, where a `TextEncoder` would ask for some of its own, and give it back, each time. */
export function textBytes(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

/** A value as the JSON of a message. */
export function jsonBytes(value: unknown): Uint8Array {
  return textBytes(JSON.stringify(value));
}

/** The text of UTF-8 bytes. @throws TypeError when they are not UTF-8 */
export function textOf(data: Uint8Array): string {
  return decoder.decode(data);
}
